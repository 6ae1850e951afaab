package dev.whence.influence.index;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.engine.kernel.TorchRuntime;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SharesTest {
  private final int threads = TorchRuntime.threads();

  @AfterEach
  void asBefore() {
    TorchRuntime.workTogether(threads);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2})
  void eachNumberIsDoneOnce(int threads) {
    TorchRuntime.workTogether(threads);
    int[] done = new int[1000];
    Shares.forEach(done.length, i -> done[i]++);
    assertThat(done).containsOnly(1);
    Shares.forEach(0, i -> done[i]++);
    assertThat(done).containsOnly(1);
  }

  @ParameterizedTest
  @ValueSource(classes = {IllegalStateException.class, OutOfMemoryError.class})
  void whatFailsIsThrownWhenAllOthersHaveEnded(Class<? extends Throwable> kind) {
    TorchRuntime.workTogether(2);
    AtomicInteger ended = new AtomicInteger();
    assertThatThrownBy(
            () ->
                Shares.forEach(
                    1000,
                    i -> {
                      if (i == 500 && kind == OutOfMemoryError.class) {
                        throw new OutOfMemoryError("500");
                      } else if (i == 500) {
                        throw new IllegalStateException("500");
                      }
                      ended.incrementAndGet();
                    }))
        .isExactlyInstanceOf(kind)
        .hasMessage("500");
    assertThat(ended).hasValue(999);
  }
}
