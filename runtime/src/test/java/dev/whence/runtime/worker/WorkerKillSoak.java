package dev.whence.runtime.worker;

import dev.whence.runtime.config.GroupProtocol;
import java.nio.file.Path;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** 1,000 records under kill -9; its reduced twin is {@link WorkerKillIT}. */
class WorkerKillSoak {
  @TempDir Path directory;

  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void aProcessKilledAnywhereLosesAndDoublesNothing(GroupProtocol protocol) throws Exception {
    WorkerKillScenarios.killedAtEachPlace(protocol, 1_000, directory);
  }

  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void aRecordThatKillsTheProcessIsGivenUpAfterThreeDeaths(GroupProtocol protocol)
      throws Exception {
    WorkerKillScenarios.killerRecord(protocol, 1_000, directory);
  }
}
