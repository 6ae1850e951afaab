package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/** Native memory over 10,000 small batches. */
class NativeMemorySoak {
  @Test
  void residentMemoryIsFlatOverTenThousandSmallBatches() {
    long growth = SmallBatches.growth("closed", 10_000);
    System.out.printf("10,000 small batches: %.1f MiB more resident%n", growth / 1048576.0);
    assertThat(growth).isLessThan(24L << 20);
  }
}
