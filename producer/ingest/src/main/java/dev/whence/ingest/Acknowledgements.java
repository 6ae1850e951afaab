package dev.whence.ingest;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Which lines are settled. Kafka acknowledges out of order, over several partitions; a line may
 * only be counted as done when every line before it is.
 */
final class Acknowledgements {
  /** A line that was refused after it had been read. */
  record Refusal(long line, String problem) {}

  /** A line on its way. */
  private static final class Entry {
    final long line;
    boolean settled;
    boolean bad;

    Entry(long line) {
      this.line = line;
    }
  }

  /**
   * What is known at one moment.
   *
   * @param settledLine every line up to this one is settled
   * @param badSettled how many of those were bad
   * @param acknowledged responses acknowledged, in any order
   * @param answers lines that Kafka acknowledged or refused, in any order
   * @param open lines that are not settled
   */
  record State(long settledLine, long badSettled, long acknowledged, long answers, int open) {}

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final Deque<Entry> entries = new ArrayDeque<>();
  private final List<Refusal> refusals = new ArrayList<>();
  private long settledLine;
  private long badSettled;
  private long acknowledged;
  private long answers;
  private long changes;

  /** Begins after a line that was settled before, with so many bad ones among the earlier. */
  Acknowledgements(long settledLine, long badSettled) {
    this.settledLine = settledLine;
    this.badSettled = badSettled;
  }

  /** A line is sent; lines come in their order. What it returns settles it, from any thread. */
  Settlement sent(long line) {
    Entry entry = new Entry(line);
    lock.lock();
    try {
      entries.add(entry);
    } finally {
      lock.unlock();
    }
    return new Settlement(entry);
  }

  /** A line that needs no acknowledgement: it is blank, or was no response. */
  void settled(long line, boolean bad) {
    Settlement settlement = sent(line);
    settlement.settle(bad, false);
  }

  /** Settles one line. */
  final class Settlement {
    private final Entry entry;

    private Settlement(Entry entry) {
      this.entry = entry;
    }

    void acknowledged() {
      settle(false, true);
    }

    void refused(String problem) {
      lock.lock();
      try {
        refusals.add(new Refusal(entry.line, problem));
        answers++;
      } finally {
        lock.unlock();
      }
      settle(true, false);
    }

    private void settle(boolean bad, boolean byKafka) {
      lock.lock();
      try {
        entry.settled = true;
        entry.bad = bad;
        acknowledged += byKafka ? 1 : 0;
        answers += byKafka ? 1 : 0;
        for (Entry head = entries.peek(); head != null && head.settled; head = entries.peek()) {
          entries.remove();
          settledLine = head.line;
          badSettled += head.bad ? 1 : 0;
        }
        changes++;
        changed.signalAll();
      } finally {
        lock.unlock();
      }
    }
  }

  State state() {
    lock.lock();
    try {
      return new State(settledLine, badSettled, acknowledged, answers, entries.size());
    } finally {
      lock.unlock();
    }
  }

  /** Refusals since the last call. */
  List<Refusal> takeRefusals() {
    lock.lock();
    try {
      List<Refusal> taken = List.copyOf(refusals);
      refusals.clear();
      return taken;
    } finally {
      lock.unlock();
    }
  }

  /** Waits until a line is settled, a moment at most. */
  void awaitChange(long nanos) throws InterruptedException {
    lock.lockInterruptibly();
    try {
      long seen = changes;
      long left = nanos;
      while (changes == seen && left > 0) {
        left = changed.awaitNanos(left);
      }
    } finally {
      lock.unlock();
    }
  }
}
