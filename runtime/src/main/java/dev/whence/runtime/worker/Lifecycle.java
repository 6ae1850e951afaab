package dev.whence.runtime.worker;

import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** Whether the worker is to stop, and how long it may still take. Thread-safe. */
final class Lifecycle {
  private final Duration grace;
  private final CountDownLatch stop = new CountDownLatch(1);
  private volatile long giveUpAt;

  Lifecycle(Duration grace) {
    this.grace = grace;
  }

  void stop() {
    giveUpAt = System.nanoTime() + grace.toNanos();
    stop.countDown();
  }

  boolean stopping() {
    return stop.getCount() == 0;
  }

  /** Time left for the running record, once the worker is stopping. */
  Duration graceLeft() {
    long nanos = giveUpAt - System.nanoTime();
    return nanos <= 0 ? Duration.ZERO : Duration.ofNanos(nanos);
  }

  boolean graceIsOver() {
    return stopping() && graceLeft().isZero();
  }

  /** Waits, unless the worker is to stop. */
  void pause(Duration length) {
    try {
      var unused = stop.await(length.toNanos(), TimeUnit.NANOSECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      stop();
    }
  }
}
