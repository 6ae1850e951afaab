package dev.whence.attribution.stage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.attribution.stage.AttributionKillScenarios.At;
import dev.whence.runtime.config.GroupProtocol;
import java.nio.file.Path;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Reduced twin of {@link RolesKillSoak}, which also has the classic protocol. */
class RolesKillIT {
  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  Path directory;

  @ParameterizedTest
  @EnumSource(names = "CONSUMER")
  void bothRolesKilledAnywhereLeaveOneFinalResultEach(GroupProtocol protocol) throws Exception {
    assertThat(RolesKillScenarios.bothKilledAtEachPlace(protocol, 40, 1, directory))
        .containsOnlyKeys(Role.values())
        .allSatisfy(
            (role, hits) ->
                assertThat(hits)
                    .hasSize(At.values().length)
                    .allSatisfy(
                        (at, count) -> assertThat(count).as("%s at %s", role, at).isEqualTo(1)));
  }
}
