package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/** Native memory over 10,000 small batches. */
class NativeMemorySoak {
  @Test
  void residentMemoryIsFlatOverTenThousandSmallBatches() {
    try (SmallBatches batches = new SmallBatches()) {
      batches.run(500);
      long before = SmallBatches.residentBytes();
      batches.run(10_000);
      assertThat(SmallBatches.residentBytes() - before).isLessThan(32L << 20);
      assertThat(batches.openTrunkBytes()).isZero();
    }
  }
}
