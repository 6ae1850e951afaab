package dev.whence.engine.kernel;

import ai.djl.Device;
import ai.djl.engine.Engine;
import ai.djl.pytorch.jni.JniUtils;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.EngineOptions;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.locks.Lock;

/**
 * The native library (libtorch by way of DJL), started silently: DJL's engine reads the cloud
 * metadata address and reports its use unless told not to before its first class is loaded.
 */
public final class TorchRuntime {
  private static final Duration LAST_CALL = Duration.ofSeconds(10);

  /** The one static state of the engine: the native library is one per process, too. */
  private static final NativeCalls CALLS = new NativeCalls();

  private TorchRuntime() {}

  /** Begins a native call; {@link Lock#unlock} ends it. */
  static Lock beginCall() {
    return CALLS.begin();
  }

  /**
   * Lets the native calls that are running end, and no further one begin: the last thing before the
   * process ends. Otherwise the C++ library is taken down under the feet of the model thread, and
   * the process ends with a crash dump instead of its exit code.
   *
   * @param atMost how long to wait
   * @return whether no native call is running any more
   */
  public static boolean quiesce(Duration atMost) {
    return CALLS.quiesce(atMost);
  }

  /**
   * {@link #quiesce} for a process that was told to end: what still runs after ten seconds is
   * killed with it.
   */
  public static void awaitLastCall() {
    boolean unused = quiesce(LAST_CALL);
  }

  /**
   * Tells DJL to stay offline. Every launcher calls it (or sets the same properties) before
   * anything else; it touches no DJL class.
   */
  public static void keepSilent() {
    System.setProperty("OPT_OUT_TRACKING", "true");
    System.setProperty("ai.djl.offline", "true");
  }

  /** Where the native library is unpacked, if that is configured; it touches no DJL class. */
  static void chooseDirectory(Optional<Path> configured) {
    Optional<String> directory =
        configured
            .map(Path::toString)
            .or(() -> Optional.ofNullable(System.getProperty("whence.native.dir")));
    directory.ifPresent(place -> System.setProperty("DJL_CACHE_DIR", place));
  }

  /**
   * Starts the native library, once per process.
   *
   * @throws EngineException of kind ENVIRONMENT if it can not be loaded
   */
  static Engine start(EngineOptions options) {
    keepSilent();
    chooseDirectory(options.nativeDirectory());
    try {
      Engine engine = Engine.getEngine("PyTorch");
      if (options.threads() > 0) {
        JniUtils.setNumThreads(options.threads());
      }
      return engine;
    } catch (ai.djl.engine.EngineException | IllegalStateException | LinkageError e) {
      throw new EngineException(
          Kind.ENVIRONMENT,
          "The native library (libtorch) could not be loaded: "
              + e.getMessage()
              + ". Check that its directory is writable (whence.native.dir) and that this system"
              + " has a native build.",
          e);
    }
  }

  /**
   * Lets the calling thread do its native work alone: for threads that work side by side, each on
   * its own task. A thread that has called the library before keeps its number of threads; one that
   * has not takes the last number that any thread asked for, so this is called before each task.
   *
   * @throws EngineException of kind ENVIRONMENT if the library can not be loaded
   */
  public static void workAlone() {
    workTogether(1);
  }

  /**
   * Takes {@link #workAlone} back, for the calling thread and those that are new to the library.
   */
  public static void workTogether(int threads) {
    Engine unused = start(EngineOptions.defaults());
    JniUtils.setNumThreads(threads);
  }

  /** How many threads share the native work of the calling thread. */
  public static int threads() {
    Engine unused = start(EngineOptions.defaults());
    return JniUtils.getNumThreads();
  }

  /**
   * The device that the options name.
   *
   * @throws EngineException of kind ENVIRONMENT if the library does not find it
   */
  static Device device(Engine engine, String wanted) {
    int found = engine.getGpuCount();
    if (wanted.equals("cpu") || (wanted.equals("auto") && found == 0)) {
      return Device.cpu();
    }
    int index = wanted.equals("auto") ? 0 : Integer.parseInt(wanted.substring("cuda:".length()));
    if (index >= found) {
      throw new EngineException(
          Kind.ENVIRONMENT,
          String.format(
              Locale.ROOT,
              "Device %s is not there: the native library found %d CUDA devices. Use --device cpu,"
                  + " or a libtorch with CUDA (PYTORCH_LIBRARY_PATH).",
              wanted,
              found));
    }
    return Device.gpu(index);
  }
}
