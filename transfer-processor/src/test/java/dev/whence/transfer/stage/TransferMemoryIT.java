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
  void records_that_do_not_fit_into_the_heap_together_are_dead_letters_one_after_the_other(
      @TempDir Path directory) throws Exception {
    assertThat(Runtime.getRuntime().maxMemory()).isLessThan((long) RECORDS * BYTES);
    try (TransferBench bench = new TransferBench(directory)) {
      bench.sendZeros(RECORDS, BYTES);
      try (TransferProcessor processor = bench.start(Map.of())) {
        await()
            .atMost(Duration.ofSeconds(120))
            .pollInterval(Duration.ofSeconds(2))
            .until(() -> bench.deadLetters().size() == RECORDS);
        assertThat(processor.health().isReady()).isTrue();
      }
    }
  }
}
