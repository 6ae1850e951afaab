package dev.whence.cli;

import dev.whence.engine.kernel.TorchRuntime;
import java.time.Duration;

/** Ctrl-C while a model computes: the process ends with its exit code, not with a crash dump. */
final class NativeEnd {
  private static final Duration LAST_CALL = Duration.ofSeconds(10);

  private NativeEnd() {}

  /** For commands that use a model and have no orderly stop of their own. */
  static void prepare() {
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(
                () -> {
                  boolean unused = TorchRuntime.quiesce(LAST_CALL);
                },
                "native-end"));
  }
}
