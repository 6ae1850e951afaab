package dev.whence.cli;

import dev.whence.engine.kernel.TorchRuntime;
import java.util.concurrent.atomic.AtomicBoolean;

/** Ctrl-C while a model computes: the process ends with its exit code, not with a crash dump. */
final class NativeEnd {
  /** A process ends once, however many models and commands it has had. */
  private static final AtomicBoolean PREPARED = new AtomicBoolean();

  private NativeEnd() {}

  /** For commands that use a model and have no orderly stop of their own. */
  static void prepare() {
    if (PREPARED.compareAndSet(false, true)) {
      Runtime.getRuntime().addShutdownHook(new Thread(TorchRuntime::awaitLastCall, "native-end"));
    }
  }
}
