package dev.whence.influence.index;

import dev.whence.engine.kernel.TorchRuntime;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Work in Java, shared by the common pool where several threads share the native work of the
 * calling thread, and by nobody where it {@linkplain TorchRuntime#workAlone works alone}.
 */
final class Shares {
  private Shares() {}

  /**
   * Does the numbers from 0 to n - 1, in any order; they have to be independent. All have ended
   * when this returns, or throws what the first one to fail has thrown.
   */
  static void forEach(int n, IntConsumer work) {
    if (n < 2 || TorchRuntime.threads() < 2) {
      IntStream.range(0, n).forEach(work);
      return;
    }
    AtomicReference<@Nullable Throwable> failed = new AtomicReference<>();
    IntStream.range(0, n)
        .parallel()
        .forEach(
            i -> {
              try {
                work.accept(i);
              } catch (RuntimeException | Error e) {
                failed.compareAndSet(null, e);
              }
            });
    Throwable first = failed.get();
    if (first instanceof Error error) {
      throw error;
    }
    if (first instanceof RuntimeException exception) {
      throw exception;
    }
  }
}
