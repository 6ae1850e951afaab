package dev.whence.influence.ekfac;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** As {@link KilledFactorsIT}, with more kills, three times with other moments. */
class KilledFactorsSoak {
  @TempDir private Path directory;

  @RepeatedTest(3)
  @Timeout(40 * 60)
  void workersThatAreKilledInTheirPassesAndStartedAgainLeaveTheSameBytes(RepetitionInfo run)
      throws Exception {
    assertThat(new KilledFactors(directory).killAndGoOn(4, run.getCurrentRepetition()))
        .isGreaterThan(1);
  }
}
