package dev.whence.attribution.stage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.attribution.stage.AttributionKillScenarios.At;
import dev.whence.runtime.config.GroupProtocol;
import java.nio.file.Path;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Reduced twin of {@link AttributionKillSoak}, which also has the classic protocol and members that
 * come and go; {@code WorkerRebalanceIT} has those for any stage.
 */
class AttributionKillIT {
  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  Path directory;

  @ParameterizedTest
  @EnumSource(names = "CONSUMER")
  void aProcessorKilledAnywhereLosesAndDoublesNothing(GroupProtocol protocol) throws Exception {
    assertThat(AttributionKillScenarios.killedAtEachPlace(protocol, 60, 1, directory))
        .hasSize(At.values().length)
        .allSatisfy((at, hits) -> assertThat(hits).as("%s", at).isEqualTo(1));
  }
}
