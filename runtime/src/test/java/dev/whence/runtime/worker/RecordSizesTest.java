package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.runtime.kafka.Clients;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class RecordSizesTest {
  private static final String TOPIC = "dlq";

  /** The producer refuses by the uncompressed size, whatever the broker would take. */
  @Test
  void aRecordThatTheProducerWouldRefuseDoesNotFitHoweverWellItCompresses() {
    RecordSizes sizes = new RecordSizes(Map.of(TOPIC, 1 << 20));
    byte[] key = new byte[1];
    assertThat(sizes.fitsCompressed(TOPIC, key, new byte[16 << 20], List.of())).isTrue();
    assertThat(
            sizes.fitsCompressed(
                TOPIC, key, new byte[Clients.LARGEST_REQUEST_BYTES - 1024], List.of()))
        .isFalse();
  }
}
