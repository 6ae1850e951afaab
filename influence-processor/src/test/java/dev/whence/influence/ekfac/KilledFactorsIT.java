package dev.whence.influence.ekfac;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Reduced twin of {@link KilledFactorsSoak}. */
class KilledFactorsIT {
  @TempDir private Path directory;

  @Test
  @Timeout(20 * 60)
  void workersThatAreKilledInTheirPassesAndStartedAgainLeaveTheSameBytes() throws Exception {
    assertThat(new KilledFactors(directory).killAndGoOn(2, 7)).isGreaterThan(1);
  }
}
