package dev.whence.transfer.merge;

import java.io.IOException;
import org.junit.jupiter.api.BeforeEach;

/** Everything that {@link WholeOrNothingTest} says, of merges past the page cache. */
class PastCacheWholeOrNothingTest extends WholeOrNothingTest {
  @Override
  MergeOptions options() {
    return PastCacheMergeTest.OPTIONS;
  }

  @BeforeEach
  void onlyWhereItIsPossible() throws IOException {
    DirectFileTest.assumePossible(directory.resolve("probe"));
  }
}
