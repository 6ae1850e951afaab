package dev.whence.runtime.worker;

import dev.whence.runtime.config.GroupProtocol;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Reduced twin of {@link WorkerKillSoak}. */
class WorkerKillIT {
  @TempDir Path directory;

  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void aProcessKilledAnywhereLosesAndDoublesNothing(GroupProtocol protocol) throws Exception {
    WorkerKillScenarios.killedAtEachPlace(protocol, 150, directory);
  }

  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void aRecordThatIsTooLargeOnceDecompressedIsGivenUpAloneAfterOneDeath(GroupProtocol protocol)
      throws Exception {
    WorkerKillScenarios.decompressionBomb(protocol, directory);
  }

  @Test
  void aRecordThatKillsTheProcessIsGivenUpAfterThreeDeaths() throws Exception {
    WorkerKillScenarios.killerRecord(GroupProtocol.CONSUMER, 30, directory);
  }
}
