package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/** Native memory over 10,000 packs of ever different shapes in bf16. */
class ChangingShapesSoak {
  @Test
  void residentMemoryIsFlatOverTenThousandPacksOfEverDifferentShapesInBf16() {
    ChangingShapes.Growth growth = ChangingShapes.growth(1500, 10_000);
    System.out.printf(
        "10,000 packs of other shapes: %.1f MiB more resident, of them %.1f in 2,500%n",
        growth.total() / 1048576.0, growth.least() / 1048576.0);
    assertThat(growth.least()).isLessThan(16L << 20);
    assertThat(growth.total()).isLessThan(96L << 20);
  }
}
