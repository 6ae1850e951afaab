package dev.whence.attribution.stage;

import dev.whence.runtime.config.GroupProtocol;
import java.nio.file.Path;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** As {@link AttributionKillIT}, where it is the processor that ends itself. */
class AttributionHangIT {
  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  Path directory;

  @ParameterizedTest
  @EnumSource(names = "CONSUMER")
  void aRecordThatHangsTheModelIsGivenUpAfterThreeHaltsAndTheOthersAreDone(GroupProtocol protocol)
      throws Exception {
    AttributionKillScenarios.aRecordHangs(protocol, 12, directory);
  }
}
