package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/** Native memory over 10,000 packs of ever different shapes in bf16. */
class ChangingShapesSoak {
  @Test
  void residentMemoryIsFlatOverTenThousandPacksOfEverDifferentShapesInBf16() {
    long growth = ChangingShapes.growth(1500, 10_000);
    System.out.printf(
        "2,500 of 10,000 packs of other shapes: %.1f MiB more resident%n", growth / 1048576.0);
    assertThat(growth).isLessThan(16L << 20);
  }
}
