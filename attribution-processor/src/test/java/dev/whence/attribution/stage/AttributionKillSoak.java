package dev.whence.attribution.stage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.attribution.stage.AttributionKillScenarios.At;
import dev.whence.runtime.config.GroupProtocol;
import java.nio.file.Path;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** 1,000 responses each; the reduced twin is {@link AttributionKillIT}. */
class AttributionKillSoak {
  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  Path directory;

  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void aProcessorKilledAnywhereLosesAndDoublesNothing(GroupProtocol protocol) throws Exception {
    assertThat(AttributionKillScenarios.killedAtEachPlace(protocol, 1_000, 5, directory))
        .hasSize(At.values().length)
        .allSatisfy((at, hits) -> assertThat(hits).as("%s", at).isEqualTo(5));
  }

  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void aBrokerThatRestartsLosesAndDoublesNothing(GroupProtocol protocol) throws Exception {
    AttributionKillScenarios.brokerRestarts(protocol, 1_000, directory);
  }

  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void membersThatComeAndGoWithinABatchLoseAndDoubleNothing(GroupProtocol protocol)
      throws Exception {
    AttributionKillScenarios.membersComeAndGo(protocol, 1_000, 6, directory);
  }
}
