package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/**
 * The reduced twin of {@link ChangingShapesSoak}. The native library keeps what it generates for a
 * shape in caches of fixed size; the packs that warm up fill them. With a cache of 100,000
 * primitives every round adds more than the bound, and this fails.
 */
class ChangingShapesTest {
  @Test
  void residentMemoryIsFlatOverHundredsOfPacksOfEverDifferentShapesInBf16() {
    assertThat(ChangingShapes.growth(128, 200, 800)).isLessThan(8L << 20);
  }
}
