package dev.whence.engine.kernel;

import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/** Which calls into the native library are running, and whether further ones may begin. */
final class NativeCalls {
  /** Calls hold it shared; {@link #quiesce} takes it for good. Fair: no call overtakes that. */
  private final ReentrantReadWriteLock lock = new ReentrantReadWriteLock(true);

  private boolean ended;

  /** Begins a call; {@link Lock#unlock} ends it. After {@link #quiesce} it never returns. */
  Lock begin() {
    Lock call = lock.readLock();
    call.lock();
    return call;
  }

  /**
   * Waits for the calls that are running; if they end in time, no other call begins any more. Who
   * asks again after that has nothing to wait for.
   *
   * @return whether they ended in time
   */
  synchronized boolean quiesce(Duration atMost) {
    try {
      ended = ended || lock.writeLock().tryLock(atMost.toMillis(), TimeUnit.MILLISECONDS);
      return ended;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
  }
}
