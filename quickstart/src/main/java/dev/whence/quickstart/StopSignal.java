package dev.whence.quickstart;

import dev.whence.engine.kernel.TorchRuntime;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Ctrl-C and SIGTERM: says that the JVM is going down, and holds it up until everything is closed.
 */
final class StopSignal implements AutoCloseable {
  /** The JVM goes down after this even if something does not close. */
  private static final int PATIENCE_SECONDS = 10;

  private static final Duration LAST_CALL = Duration.ofSeconds(5);

  private final CountDownLatch asked = new CountDownLatch(1);
  private final CountDownLatch closed = new CountDownLatch(1);
  private final Thread hook = new Thread(this::hold, "quickstart-stop");

  private StopSignal() {}

  static StopSignal install() {
    StopSignal signal = new StopSignal();
    Runtime.getRuntime().addShutdownHook(signal.hook);
    return signal;
  }

  private void hold() {
    asked.countDown();
    try {
      boolean inTime = closed.await(PATIENCE_SECONDS, TimeUnit.SECONDS);
      boolean unused = TorchRuntime.quiesce(LAST_CALL) && inTime;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  boolean isAsked() {
    return asked.getCount() == 0;
  }

  /** Waits until it is asked to stop. */
  void await() throws InterruptedException {
    asked.await();
  }

  /** Everything is closed: the JVM need not be held up. */
  @Override
  public void close() {
    closed.countDown();
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException e) {
      // the JVM is going down, and the hook runs
    }
  }
}
