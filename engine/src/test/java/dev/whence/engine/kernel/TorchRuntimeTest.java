package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** In JVMs of their own, without the flags that the build sets. */
class TorchRuntimeTest {
  @Test
  void startingTheEngineReachesNobody() throws Exception {
    assertThat(output("engine")).contains("started").doesNotContain("reaches");
  }

  @Test
  void theMeasureNoticesDjlCallingHome() throws Exception {
    assertThat(output("djl")).contains("reaches", "started");
  }

  private static String output(String how) throws IOException, InterruptedException {
    List<String> command =
        new ArrayList<>(
            List.of(
                ProcessHandle.current().info().command().orElseThrow(),
                "-Xmx256m",
                "-cp",
                System.getProperty("java.class.path"),
                SilentStart.class.getName(),
                how));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().remove("OPT_OUT_TRACKING");
    builder.environment().remove("DJL_OFFLINE");
    Process process = builder.start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor()).as(output).isZero();
    return output;
  }
}
