package dev.whence.transfer.merge;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class KilledMergeTest {
  @TempDir Path directory;

  @Test
  void aKilledMergeIsResumedToTheSameBytesAndNeverHalfVisible() throws Exception {
    int cut = new KilledMerge(directory, 6).killAndResume(3, 7);
    assertThat(cut).as("runs that were killed before they had published").isPositive();
  }
}
