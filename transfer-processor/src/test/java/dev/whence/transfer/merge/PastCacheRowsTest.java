package dev.whence.transfer.merge;

import java.io.IOException;
import org.junit.jupiter.api.BeforeEach;

/** Everything that {@link MergedRowsTest} says, of merges past the page cache. */
class PastCacheRowsTest extends MergedRowsTest {
  @Override
  MergeOptions options() {
    return PastCacheMergeTest.OPTIONS;
  }

  @BeforeEach
  void onlyWhereItIsPossible() throws IOException {
    DirectFileTest.assumePossible(directory.resolve("probe"));
  }
}
