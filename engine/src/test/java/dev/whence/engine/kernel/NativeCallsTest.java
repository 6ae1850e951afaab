package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Lock;
import org.junit.jupiter.api.Test;

class NativeCallsTest {
  private static final Duration SOON = Duration.ofMillis(50);
  private static final Duration LATER = Duration.ofSeconds(20);

  private final NativeCalls calls = new NativeCalls();

  @Test
  void theEndOfTheProcessWaitsForTheCallThatIsRunning() throws Exception {
    CountDownLatch running = new CountDownLatch(1);
    CountDownLatch mayEnd = new CountDownLatch(1);
    Thread model =
        new Thread(
            () -> {
              Lock call = calls.begin();
              running.countDown();
              try {
                mayEnd.await();
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              } finally {
                call.unlock();
              }
            });
    model.start();
    running.await();

    assertThat(calls.quiesce(SOON)).isFalse();
    mayEnd.countDown();
    assertThat(calls.quiesce(LATER)).isTrue();
    model.join();
  }

  @Test
  void whoeverAsksAgainAfterTheEndDoesNotWait() throws Exception {
    assertThat(calls.quiesce(SOON)).isTrue();

    // From another thread, as each shutdown hook is one.
    CompletableFuture<Boolean> again =
        CompletableFuture.supplyAsync(() -> calls.quiesce(Duration.ofHours(1)));
    assertThat(again.get(LATER.toSeconds(), TimeUnit.SECONDS)).isTrue();
  }

  @Test
  void noCallBeginsAfterTheEnd() throws Exception {
    assertThat(calls.quiesce(SOON)).isTrue();

    CompletableFuture<Boolean> begun = new CompletableFuture<>();
    CountDownLatch asking = new CountDownLatch(1);
    Thread model =
        new Thread(
            () -> {
              asking.countDown();
              Lock call = calls.begin();
              begun.complete(true);
              call.unlock();
            });
    model.setDaemon(true);
    model.start();
    asking.await();
    assertThat(begun.completeOnTimeout(false, 200, TimeUnit.MILLISECONDS).get()).isFalse();
  }
}
