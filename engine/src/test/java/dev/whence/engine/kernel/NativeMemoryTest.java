package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/** The reduced twin of {@link NativeMemorySoak}: a trunk left open per batch fails it as well. */
class NativeMemoryTest {
  @Test
  void residentMemoryIsFlatOverHundredsOfSmallBatches() {
    try (SmallBatches batches = new SmallBatches()) {
      batches.run(100); // allocator and code caches fill up
      long before = SmallBatches.residentBytes();
      batches.run(400);
      assertThat(SmallBatches.residentBytes() - before).isLessThan(16L << 20);
      assertThat(batches.openTrunkBytes()).isZero();
    }
  }

  @Test
  void theMeasureNoticesTrunksThatStayOpen() {
    try (SmallBatches batches = new SmallBatches()) {
      batches.run(100);
      long before = SmallBatches.residentBytes();
      batches.leak(400);
      assertThat(SmallBatches.residentBytes() - before).isGreaterThan(16L << 20);
      assertThat(batches.openTrunkBytes()).isPositive();
    }
  }
}
