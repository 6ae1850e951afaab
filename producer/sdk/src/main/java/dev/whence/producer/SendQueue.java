package dev.whence.producer;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.PriorityQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Responses between the callers and the sending thread, bounded in bytes. A response holds its room
 * from {@link #offer} to {@link #finished}: also while Kafka's own buffer has it, so the bound is
 * on everything that the SDK keeps in memory for responses.
 */
final class SendQueue {
  /** What became of an offer. */
  enum Offer {
    ACCEPTED,
    FULL,
    CLOSED
  }

  private final long capacityBytes;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition room = lock.newCondition();
  private final Condition work = lock.newCondition();
  private final Deque<Pending> waiting = new ArrayDeque<>();

  /** Those that were taken and put back: they come before all that wait for their first turn. */
  private final PriorityQueue<Pending> returned =
      new PriorityQueue<>(Comparator.comparingLong((Pending pending) -> pending.place().get()));

  private long accepted;
  private long heldBytes;
  private long unfinished;
  private boolean closed;

  SendQueue(long capacityBytes) {
    this.capacityBytes = capacityBytes;
  }

  /** Puts a response in, waiting for room at most this long. */
  Offer offer(Pending pending, Duration atMost) throws InterruptedException {
    lock.lock(); // held briefly; who is interrupted and finds room need not wait
    try {
      long nanos = nanosOf(atMost);
      while (!closed && heldBytes + pending.bytes() > capacityBytes) {
        if (nanos <= 0 || pending.bytes() > capacityBytes) {
          return Offer.FULL;
        }
        nanos = room.awaitNanos(nanos);
      }
      if (closed) {
        return Offer.CLOSED;
      }
      pending.place().set(accepted++);
      waiting.add(pending);
      heldBytes += pending.bytes();
      unfinished++;
      work.signal();
      return Offer.ACCEPTED;
    } finally {
      lock.unlock();
    }
  }

  /** The next response, which is waited for so long; null if there is none. */
  @Nullable Pending take(Duration atMost) throws InterruptedException {
    lock.lockInterruptibly();
    try {
      long nanos = nanosOf(atMost);
      while (isEmpty() && !closed && nanos > 0) {
        nanos = work.awaitNanos(nanos);
      }
      return returned.isEmpty() ? waiting.poll() : returned.poll();
    } finally {
      lock.unlock();
    }
  }

  /**
   * Lets a response that was taken come again, in its old place; it has kept its room.
   *
   * @return false if the queue is closed and does not take it
   */
  boolean putBack(Pending pending) {
    lock.lock();
    try {
      if (closed) {
        return false;
      }
      returned.add(pending);
      work.signal();
      return true;
    } finally {
      lock.unlock();
    }
  }

  private boolean isEmpty() {
    return waiting.isEmpty() && returned.isEmpty();
  }

  /** Whether nothing is accepted any more and nothing waits. */
  boolean isExhausted() {
    lock.lock();
    try {
      return closed && isEmpty();
    } finally {
      lock.unlock();
    }
  }

  /** Gives back the room of a response that was delivered or given up. */
  void finished(Pending pending) {
    lock.lock();
    try {
      heldBytes -= pending.bytes();
      unfinished--;
      room.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** From now on nothing is accepted; what waits may still be taken. */
  void close() {
    lock.lock();
    try {
      closed = true;
      room.signalAll();
      work.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** Waits until every response that was accepted is finished, and says whether they are. */
  boolean awaitFinished(Duration atMost) throws InterruptedException {
    lock.lockInterruptibly();
    try {
      long nanos = nanosOf(atMost);
      while (unfinished > 0 && nanos > 0) {
        nanos = room.awaitNanos(nanos);
      }
      return unfinished == 0;
    } finally {
      lock.unlock();
    }
  }

  /** Takes all that waits. */
  List<Pending> drain() {
    lock.lock();
    try {
      List<Pending> rest = new ArrayList<>(returned);
      rest.addAll(waiting);
      returned.clear();
      waiting.clear();
      return rest;
    } finally {
      lock.unlock();
    }
  }

  long capacityBytes() {
    return capacityBytes;
  }

  long heldBytes() {
    lock.lock();
    try {
      return heldBytes;
    } finally {
      lock.unlock();
    }
  }

  long unfinished() {
    lock.lock();
    try {
      return unfinished;
    } finally {
      lock.unlock();
    }
  }

  private static long nanosOf(Duration duration) {
    return duration.compareTo(Duration.ofDays(365)) > 0
        ? TimeUnit.DAYS.toNanos(365)
        : duration.toNanos();
  }
}
