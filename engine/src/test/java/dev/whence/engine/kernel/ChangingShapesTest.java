package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.whence.engine.EngineOptions;
import org.junit.jupiter.api.Test;

/**
 * The reduced twin of {@link ChangingShapesSoak}. The native library keeps what it generates for a
 * shape in caches of fixed size (plans for each thread, oneDNN's primitives for the process), or
 * for ever (fused attention, which is why its shapes are few); the packs that warm up fill them.
 * Fails where the root pom sets {@code ONEDNN_PRIMITIVE_CACHE_CAPACITY} to 100000, or {@code
 * LRU_CACHE_CAPACITY} to 1024, the library's own default.
 */
class ChangingShapesTest {
  @Test
  void residentMemoryIsFlatOverHundredsOfPacksOfEverDifferentShapesInBf16() {
    assumeTrue(
        hasInstructionsForBf16(),
        "without instructions for bf16 nothing is generated for a shape; the soak runs anyway");
    ChangingShapes.Growth growth = ChangingShapes.growth(120, 480);
    System.out.printf(
        "480 packs of other shapes: %.1f MiB more resident%n", growth.total() / 1048576.0);
    assertThat(growth.least()).isLessThan(16L << 20);
    assertThat(growth.total()).isLessThan(128L << 20);
  }

  private static boolean hasInstructionsForBf16() {
    EngineOptions options = EngineOptions.defaults().withDevice("cpu");
    try (Kernel kernel =
        Kernel.load(
            KernelText.of("llama"), TorchRuntime.device(TorchRuntime.start(options), "cpu"))) {
      GemmPeak peak = GemmPeak.estimate(kernel);
      return peak.bf16() > peak.fp32() / 2;
    }
  }
}
