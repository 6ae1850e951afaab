package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import dev.whence.conversation.Conversation;
import dev.whence.runtime.config.Settings;
import dev.whence.runtime.worker.EnvironmentException;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class QueryModelTest {
  /** A lock that another stage never gives back, and that says at once what a wait was to be. */
  private static final class Held extends ReentrantLock {
    private static final long serialVersionUID = 1;

    @Override
    public boolean tryLock() {
      return false;
    }

    @Override
    public boolean tryLock(long timeout, TimeUnit unit) {
      return false;
    }
  }

  /** It may hang: the process ends all the same. */
  @Test
  void closingDoesNotWaitForAGradientWithoutEnd() {
    Held lock = new Held();
    CompletableFuture<Void> taken = CompletableFuture.runAsync(lock::lock);
    taken.join();
    QueryModel model = new QueryModel(config("1 s"), new SimpleMeterRegistry(), lock);
    assertTimeoutPreemptively(Duration.ofSeconds(20), model::close);
  }

  private static InfluenceConfig config(String hangAtLeast) {
    return InfluenceConfig.read(
        Settings.of(
            Map.of(
                "kafka.bootstrap.servers", "b:1",
                "registry.url", "http://r",
                "model", "m",
                "indexes", "i",
                "hang.factor", "10",
                "hang.at-least", hangAtLeast)));
  }

  /**
   * The watchdog allows 10 times the prediction, and a second at least. Half of that is there for
   * the wait, so that the other half is left for the gradient; of a long one ten minutes.
   */
  @ParameterizedTest
  @CsvSource({
    "1 s,      0,      500",
    "1 s,    100,      500",
    "1 s,    400,     2000",
    "1 s, 120000,   600000",
    "1 s, 600000,   600000",
    "1 h,      0,  1800000",
    "1 h, 120000,  1800000"
  })
  void whoIsPredictedToTakeLongWaitsLongForItsTurn(
      String hangAtLeast, long predictedMillis, long waitMillis) {
    InfluenceConfig config = config(hangAtLeast);
    Conversation any = InfluenceCluster.answered("r", 0);
    try (QueryModel model = new QueryModel(config, new SimpleMeterRegistry(), new Held())) {
      assertThatThrownBy(() -> model.ask(any, Duration.ofMillis(predictedMillis)))
          .isInstanceOf(EnvironmentException.class)
          .hasMessage(
              "another stage has been taking a gradient for more than " + waitMillis + " ms");
    }
  }
}
