package dev.whence.runtime.worker;

import java.time.Duration;

/** Pauses that double with every failure in a row. */
final class Backoff {
  private final Duration first;
  private final Duration most;
  private Duration next;
  private long until;
  private boolean active;

  Backoff(Duration first, Duration most) {
    this.first = first;
    this.most = most;
    this.next = first;
  }

  /** Begins a pause and returns how long it is. */
  Duration begin() {
    Duration pause = next;
    until = System.nanoTime() + pause.toNanos();
    active = true;
    Duration doubled = pause.multipliedBy(2);
    next = doubled.compareTo(most) < 0 ? doubled : most;
    return pause;
  }

  /** What is left of the pause; zero if there is none. */
  Duration left() {
    long nanos = active ? until - System.nanoTime() : 0;
    if (nanos <= 0) {
      active = false;
      return Duration.ZERO;
    }
    return Duration.ofNanos(nanos);
  }

  void reset() {
    next = first;
    active = false;
  }
}
