package dev.whence.attribution.stage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.attribution.stage.AttributionKillScenarios.At;
import dev.whence.runtime.config.GroupProtocol;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.Set;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Reduced twin of {@link RolesKillSoak}, which has all places and the classic protocol as well. A
 * pair of processes takes its time to start.
 */
class RolesKillIT {
  private static final Set<At> PLACES =
      EnumSet.of(At.INSIDE_THE_TRANSACTION, At.COMMITTED_BUT_NOT_TOLD);

  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  Path directory;

  @ParameterizedTest
  @EnumSource(names = "CONSUMER")
  void bothRolesKilledAnywhereLeaveOneFinalResultEach(GroupProtocol protocol) throws Exception {
    assertThat(RolesKillScenarios.bothKilledAtEach(PLACES, protocol, 24, 1, directory))
        .containsOnlyKeys(Role.values())
        .allSatisfy(
            (role, hits) ->
                assertThat(hits)
                    .hasSize(PLACES.size())
                    .allSatisfy(
                        (at, count) -> assertThat(count).as("%s at %s", role, at).isEqualTo(1)));
  }
}
