package dev.whence.engine.kernel;

import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/** Which calls into the native library are running, and whether further ones may begin. */
final class NativeCalls {
  /** Calls hold it shared; {@link #quiesce} takes it for good. Fair: no call overtakes that. */
  private final ReentrantReadWriteLock lock = new ReentrantReadWriteLock(true);

  /** Begins a call; {@link Lock#unlock} ends it. After {@link #quiesce} it never returns. */
  Lock begin() {
    Lock call = lock.readLock();
    call.lock();
    return call;
  }

  /**
   * Waits for the calls that are running; if they end in time, no other call begins any more.
   *
   * @return whether they ended in time
   */
  boolean quiesce(Duration atMost) {
    try {
      return lock.writeLock().tryLock(atMost.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
  }
}
