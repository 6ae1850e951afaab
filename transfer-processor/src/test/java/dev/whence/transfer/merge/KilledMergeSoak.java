package dev.whence.transfer.merge;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** As {@link KilledMergeTest}, at 50 points. */
class KilledMergeSoak {
  @TempDir Path directory;

  @Test
  void fiftyKillsLeaveTheOldOrTheNewAndResumeToTheSameBytes() throws Exception {
    int cut = new KilledMerge(directory, 24).killAndResume(50, 11);
    assertThat(cut).as("runs that were killed before they had published").isGreaterThan(25);
  }
}
