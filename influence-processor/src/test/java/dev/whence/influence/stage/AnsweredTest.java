package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.influence.stage.Answered.Cost;
import dev.whence.schemas.avro.InfluentialDocument;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

class AnsweredTest {
  private static final Cost FIRST = new Cost(100, 1, 2, 0.5);
  private static final Cost SECOND = new Cost(10, 0, 1, 0.25);

  private static Answered answered(Cost cost) {
    return new Answered(Map.of(), List.of(), 1, 1, "", cost);
  }

  @Test
  void whatAQueryCostIsSaidInOneAnswerHoweverManyItsRecordsHave() {
    Answered all = answered(FIRST);
    assertThat(all.cost("queries-0-7")).isEqualTo(FIRST);
    assertThat(all.cost("queries-1-3")).isEqualTo(Cost.NONE);
    assertThat(all.plus(answered(SECOND)).cost("queries-2-5")).isEqualTo(SECOND);
  }

  /** Nobody has read what stands in a transaction that is aborted. */
  @Test
  void aRecordThatIsAnsweredAgainSaysItsCostAgain() {
    Answered all = answered(FIRST);
    assertThat(all.cost("queries-0-7")).isEqualTo(FIRST);
    assertThat(all.cost("queries-0-7")).isEqualTo(FIRST);
    Answered more = all.plus(answered(SECOND));
    assertThat(more.cost("queries-1-3")).isEqualTo(SECOND);
    assertThat(more.cost("queries-0-7")).isEqualTo(FIRST);
    assertThat(more.cost("queries-1-3")).isEqualTo(SECOND);
  }

  /** 256 answers are kept, and a query may have tens of thousands of documents ranked. */
  @Test
  void noDocumentIsKeptThatNoAnswerHasRoomFor() {
    int top = 5;
    int partitions = 3;
    Random random = new Random(1);
    List<InfluentialDocument> ranked = new ArrayList<>();
    for (int line = 1; line <= 20_000; line++) {
      ranked.add(
          InfluentialDocument.newBuilder()
              .setId("line-" + line)
              .setLine(line)
              .setShard(1 + random.nextInt(100))
              .setInfluence(random.nextGaussian())
              .build());
    }
    List<InfluentialDocument> kept =
        new Answered(Map.of(), ranked, top, partitions, "", FIRST).documents;
    assertThat(kept).hasSize(2 * top * partitions);
    for (int partition = 0; partition < partitions; partition++) {
      assertThat(said(kept, partition, partitions, top))
          .hasSize(2 * top)
          .isEqualTo(said(ranked, partition, partitions, top));
    }
  }

  private static List<InfluentialDocument> said(
      List<InfluentialDocument> documents, int partition, int partitions, int top) {
    return NamedDocuments.best(
        documents.stream()
            .filter(document -> document.getShard() % partitions == partition)
            .toList(),
        top);
  }
}
