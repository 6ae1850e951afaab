package dev.whence.influence.index;

import dev.whence.engine.kernel.TorchRuntime;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;

/**
 * Work in Java that is shared as the engine's is: by the common pool where several threads share
 * the native work of the calling thread, and by nobody where it {@linkplain TorchRuntime#workAlone
 * works alone}.
 */
final class Shares {
  private Shares() {}

  /** Does the numbers from 0 to n - 1, in any order; they have to be independent. */
  static void forEach(int n, IntConsumer work) {
    IntStream numbers = IntStream.range(0, n);
    (n > 1 && TorchRuntime.threads() > 1 ? numbers.parallel() : numbers).forEach(work);
  }
}
