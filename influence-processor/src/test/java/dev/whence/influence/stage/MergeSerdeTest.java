package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.schemas.avro.InfluenceMerge;
import dev.whence.schemas.avro.ShardAnswer;
import java.time.Instant;
import java.util.Base64;
import org.apache.avro.SchemaNormalization;
import org.apache.kafka.common.errors.SerializationException;
import org.junit.jupiter.api.Test;

class MergeSerdeTest {
  /** A query with one of three answers, as the version without Influence.requestedBy kept it. */
  private static final String FORMER =
      "wwERpiXusMF/1AJxAgaQ7tXt7mYEAgJyAnEAAAAAFm11bHRpLXN0YWdlHGxvZy1saWtlbGlob29k"
          + "AAAAAAAAAgAAAAAAAAAAAACgAQAAAAAAAAAAAAAAAAICcQQAAgICFAAAAgRkMQIAAAAAAAAAAPA/"
          + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAyAEAAAAAAAAAAAAAAACAoNXt7mYA";

  private final MergeSerde serde = new MergeSerde();

  @Test
  void whatTheVersionBeforeRequestedByKeptIsRead() {
    InfluenceMerge read =
        serde.deserializer().deserialize("store", Base64.getDecoder().decode(FORMER));
    assertThat(read.getQueryId()).isEqualTo("q");
    assertThat(read.getSince()).isEqualTo(Instant.parse("2026-01-01T00:00:00Z"));
    assertThat(read.getOpen().getShards()).isEqualTo(3);
    assertThat(read.getOpen().getEvent().getRequestedBy()).isEmpty();
    assertThat(read.getOpen().getEvent().getMethod()).isEqualTo("multi-stage");
    assertThat(read.getOpen().getEvent().getMeasure()).isEqualTo("log-likelihood");
    assertThat(read.getAnswers()).hasSize(1);
    assertThat(read.getAnswers().get(0).getTokens()).isEqualTo(100);
    assertThat(read.getAnswers().get(0).getShards())
        .extracting(ShardAnswer::getShard)
        .containsExactly(1);
    byte[] kept = serde.serializer().serialize("store", read);
    assertThat(serde.deserializer().deserialize("store", kept)).isEqualTo(read);
  }

  @Test
  void whatALaterVersionKeptIsRefusedWithASentence() {
    byte[] later = Base64.getDecoder().decode(FORMER);
    later[5] ^= 1; // of the schema's fingerprint
    assertThatThrownBy(() -> serde.deserializer().deserialize("store", later))
        .isInstanceOf(SerializationException.class)
        .hasMessageContaining("was written by a later version");
  }

  @Test
  void whoeverChangesWhatIsKeptCommitsTheSchemaThatWasThereBefore() {
    assertThat(
            Long.toHexString(
                SchemaNormalization.parsingFingerprint64(InfluenceMerge.getClassSchema())))
        .as("put the former schema's canonical form beside MergeSerde, and name it in FORMER")
        .isEqualTo("2cbb6c38c4d3eff9");
  }
}
