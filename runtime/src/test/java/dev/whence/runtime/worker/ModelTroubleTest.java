package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class ModelTroubleTest {
  @Test
  void aRecordThatFailsAgainAfterAPauseCountsOnce() {
    ModelTrouble trouble = new ModelTrouble(3);
    for (int i = 0; i < 5; i++) {
      trouble.failed(record(7));
    }
    assertThat(trouble.inARow()).isEqualTo(1);
    assertThat(trouble.tooMany()).isFalse();
    trouble.failed(record(8));
    trouble.failed(record(9));
    assertThat(trouble.tooMany()).isTrue();
  }

  @Test
  void itIsAskedByAnotherThreadThanTheOneThatIsToldOfFailures() throws Exception {
    ModelTrouble trouble = new ModelTrouble(1 << 30);
    CompletableFuture<Void> told =
        CompletableFuture.runAsync(
            () -> {
              for (int i = 0; i < 200_000; i++) {
                var unused = trouble.environmentFailed(record(i % 900), 0);
                if (i % 700 == 0) {
                  trouble.worked(record(i % 900));
                }
              }
            });
    while (!told.isDone()) {
      var unused = trouble.othersWouldTell(1L << 60);
    }
    told.get(60, TimeUnit.SECONDS);
  }

  private static SourceRecord record(long offset) {
    return new SourceRecord("in", 0, offset, 0, null, null, List.of());
  }
}
