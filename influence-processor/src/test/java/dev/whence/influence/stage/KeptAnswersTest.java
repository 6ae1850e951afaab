package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.schemas.avro.InfluentialDocument;
import java.time.Instant;
import java.util.Collections;
import java.util.Map;
import org.junit.jupiter.api.Test;

class KeptAnswersTest {
  private static final Instant NOW = Instant.ofEpochSecond(1_800_000_000);
  private static final Instant LATER = NOW.plusSeconds(60);

  /** Of a shard with so many documents, all of which are said. */
  private static Answered answer(int shard, int documents) {
    return new Answered(
        Map.of(shard, new OpenShards.Found.Missing("")),
        Collections.nCopies(documents, document(shard)),
        documents,
        1,
        "",
        Answered.Cost.NONE);
  }

  private static InfluentialDocument document(int shard) {
    return InfluentialDocument.newBuilder()
        .setId("d")
        .setLine(1)
        .setShard(shard)
        .setInfluence(1)
        .build();
  }

  @Test
  void anAnswerIsKeptUntilItsDeadline() {
    KeptAnswers kept = new KeptAnswers();
    kept.add("a", answer(1, 1), NOW);
    kept.add("b", answer(1, 1), LATER);
    kept.forgetUntil(NOW);
    assertThat(kept.get("a")).isNotNull();
    kept.forgetUntil(NOW.plusMillis(1));
    assertThat(kept.get("a")).isNull();
    assertThat(kept.get("b")).isNotNull();
  }

  @Test
  void theOldestGoWhereThereAreTooMany() {
    KeptAnswers kept = new KeptAnswers(2, 100);
    kept.add("a", answer(1, 1), LATER);
    kept.add("b", answer(1, 1), LATER);
    kept.add("c", answer(1, 1), LATER);
    assertThat(kept.get("a")).isNull();
    assertThat(kept.get("b")).isNotNull();
    assertThat(kept.get("c")).isNotNull();
  }

  @Test
  void theOldestGoWhereDocumentsAreTooManyButNeverTheLast() {
    KeptAnswers kept = new KeptAnswers(10, 5);
    kept.add("a", answer(1, 2), LATER);
    kept.add("b", answer(1, 2), LATER);
    kept.add("c", answer(1, 2), LATER);
    assertThat(kept.get("a")).isNull();
    assertThat(kept.get("b")).isNotNull();
    kept.add("d", answer(1, 6), LATER);
    assertThat(kept.get("c")).isNull();
    assertThat(kept.get("d")).isNotNull();
  }

  @Test
  void whatIsSaidOfAQueryInALaterBatchJoinsWhatWasSaidBefore() {
    KeptAnswers kept = new KeptAnswers();
    kept.add("a", answer(1, 1), LATER);
    kept.add("a", answer(2, 1), LATER);
    Answered both = kept.get("a");
    assertThat(both).isNotNull();
    assertThat(both.shards).containsOnlyKeys(1, 2);
    assertThat(both.documents).hasSize(2);
  }
}
