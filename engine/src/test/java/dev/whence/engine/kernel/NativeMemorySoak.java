package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/** Native memory over 10,000 small batches. */
class NativeMemorySoak {
  @Test
  void residentMemoryIsFlatOverTenThousandSmallBatches() {
    assertThat(SmallBatches.growth("closed", 10_000)).isLessThan(24L << 20);
  }
}
