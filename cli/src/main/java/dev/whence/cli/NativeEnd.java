package dev.whence.cli;

import dev.whence.engine.kernel.TorchRuntime;

/** Ctrl-C while a model computes: the process ends with its exit code, not with a crash dump. */
final class NativeEnd {
  private NativeEnd() {}

  /** For commands that use a model and have no orderly stop of their own. */
  static void prepare() {
    Runtime.getRuntime().addShutdownHook(new Thread(TorchRuntime::awaitLastCall, "native-end"));
  }
}
