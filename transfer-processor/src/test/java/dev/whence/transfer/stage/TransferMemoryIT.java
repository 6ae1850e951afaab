package dev.whence.transfer.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What compresses well is far larger in memory than the topic's limit says. */
class TransferMemoryIT {
  private static final int RECORDS = 300;
  private static final int BYTES = 4 << 20; // 1.2 GB in all, more than this JVM's heap

  @Test
  void recordsThatDoNotFitIntoTheHeapTogetherAreDeadLettersOneAfterTheOther(@TempDir Path directory)
      throws Exception {
    assertThat(Runtime.getRuntime().maxMemory()).isLessThan((long) RECORDS * BYTES);
    try (TransferCluster cluster = new TransferCluster(directory)) {
      cluster.sendZeros(RECORDS, BYTES);
      try (TransferProcessor processor = cluster.start(Map.of())) {
        await()
            .atMost(Duration.ofSeconds(120))
            .pollInterval(Duration.ofSeconds(2))
            .until(() -> cluster.deadLetters().size() == RECORDS);
        assertThat(processor.health().isReady()).isTrue();
      }
    }
  }
}
