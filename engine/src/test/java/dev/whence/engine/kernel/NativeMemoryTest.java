package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/** The reduced twin of {@link NativeMemorySoak}: a trunk left open per batch fails it as well. */
class NativeMemoryTest {
  private static final int BATCHES = 350;
  private static final long BOUND = 24L << 20;

  @Test
  void residentMemoryIsFlatOverHundredsOfSmallBatches() {
    assertThat(SmallBatches.growth("closed", BATCHES)).isLessThan(BOUND);
  }

  @Test
  void theMeasureNoticesTrunksThatStayOpen() {
    // 122,880 bytes each: 2 layers, keys and values of 4 heads of 8 in fp32, 240 tokens
    assertThat(SmallBatches.growth("open", BATCHES)).isGreaterThan(BOUND);
  }

  @Test
  void closedTrunksHoldNoBytes() {
    try (SmallBatches batches = new SmallBatches()) {
      batches.run(3);
      assertThat(batches.openTrunkBytes()).isZero();
      batches.leak(3);
      assertThat(batches.openTrunkBytes()).isEqualTo(3 * 122_880);
    }
  }
}
