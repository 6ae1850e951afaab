package dev.whence.attribution.stage;

import dev.whence.runtime.config.GroupProtocol;
import java.nio.file.Path;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** As {@link AttributionKillIT}, where it is the broker that goes. */
class AttributionBrokerIT {
  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  Path directory;

  @ParameterizedTest
  @EnumSource(names = "CONSUMER")
  void aBrokerThatRestartsLosesAndDoublesNothing(GroupProtocol protocol) throws Exception {
    AttributionKillScenarios.brokerRestarts(protocol, 60, directory);
  }
}
