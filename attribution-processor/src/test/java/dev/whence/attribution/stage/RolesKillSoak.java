package dev.whence.attribution.stage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.attribution.stage.AttributionKillScenarios.At;
import dev.whence.runtime.config.GroupProtocol;
import java.nio.file.Path;
import java.util.EnumSet;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** 1,000 responses each; the reduced twin is {@link RolesKillIT}. */
class RolesKillSoak {
  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  Path directory;

  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void bothRolesKilledAnywhereLeaveOneFinalResultEach(GroupProtocol protocol) throws Exception {
    assertThat(
            RolesKillScenarios.bothKilledAtEach(
                EnumSet.allOf(At.class), protocol, 1_000, 5, directory))
        .containsOnlyKeys(Role.values())
        .allSatisfy(
            (role, hits) ->
                assertThat(hits)
                    .hasSize(At.values().length)
                    .allSatisfy(
                        (at, count) -> assertThat(count).as("%s at %s", role, at).isEqualTo(5)));
  }
}
