package dev.whence.runtime.worker;

import java.time.Duration;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/**
 * Counts different records that failed in the model one after the other, and so tells a bad record
 * from a broken model: five in a row are the fault of the environment. Remembers, too, on which
 * record the environment fails again and again, and how often the model worked on others meanwhile.
 *
 * <p>Thread-safe: the model thread says what happened, the poll thread asks what follows.
 */
final class ModelTrouble {
  /** So often the environment may fail on a record before its partition has to wait by itself. */
  static final int BEFORE_OTHERS = 3;

  /** Between so many failures on a record the model must have worked on others ... */
  static final int WHILE_OTHERS_WORK = 5;

  /** ... for so long, before it is the record's fault. */
  static final Duration AT_LEAST = Duration.ofMinutes(10);

  /** A record on which the environment failed is tried again within this, as long as it fails. */
  private static final Duration RECENT = Duration.ofMinutes(5);

  /** What follows from a failure of the environment. */
  enum Verdict {
    /** Everything waits: nothing says that others would fare better. */
    ALL_WAIT,
    /** Its partition waits, and others go on. */
    PARTITION_WAITS,
    /** It is the record. */
    RECORD_FAILED
  }

  /** On one record: since when, how often, and how often with others' success in between. */
  private static final class Failing {
    final long since;
    int times;
    int whileOthersWork;
    boolean othersWorkedSince;
    long last;

    Failing(long since) {
      this.since = since;
    }
  }

  /** One a partition, as a rule. */
  private static final int REMEMBERED = 1000;

  private final int most;
  private final Set<String> inARow = new HashSet<>();
  private final Map<String, Failing> failing = new LinkedHashMap<>();
  private final Map<String, Integer> unread = new LinkedHashMap<>();
  private boolean modelSuspected;

  ModelTrouble(int most) {
    this.most = most;
  }

  /** The model worked on a record: it is fine, and those before it were bad records. */
  synchronized void worked(SourceRecord record) {
    inARow.clear();
    modelSuspected = false;
    failing.remove(record.place());
    failing.values().forEach(one -> one.othersWorkedSince = true);
  }

  /**
   * The environment failed while the model was asked about a record.
   *
   * @param now {@link System#nanoTime}
   */
  synchronized Verdict environmentFailed(SourceRecord record, long now) {
    if (failing.size() >= REMEMBERED && !failing.containsKey(record.place())) {
      failing.remove(failing.keySet().iterator().next());
    }
    Failing one = failing.computeIfAbsent(record.place(), unused -> new Failing(now));
    one.times++;
    one.last = now;
    boolean othersWorked = one.othersWorkedSince && !modelSuspected;
    one.othersWorkedSince = false;
    if (othersWorked) {
      one.whileOthersWork++;
    }
    if (othersWorked
        && one.whileOthersWork >= WHILE_OTHERS_WORK
        && now - one.since >= AT_LEAST.toNanos()) {
      return Verdict.RECORD_FAILED; // and so again, should it not come to be committed
    }
    return one.times >= BEFORE_OTHERS ? Verdict.PARTITION_WAITS : Verdict.ALL_WAIT;
  }

  /**
   * The environment failed while a record was read, before the model was asked: the registry does
   * not give its schema, say. Nothing is held against it for that, however long it lasts.
   */
  synchronized Verdict readingFailed(SourceRecord record) {
    if (unread.size() >= REMEMBERED && !unread.containsKey(record.place())) {
      unread.remove(unread.keySet().iterator().next());
    }
    int times = Math.min(BEFORE_OTHERS, unread.getOrDefault(record.place(), 0) + 1);
    unread.put(record.place(), times);
    return times >= BEFORE_OTHERS ? Verdict.PARTITION_WAITS : Verdict.ALL_WAIT;
  }

  /** A record was read. */
  synchronized void read(SourceRecord record) {
    unread.remove(record.place());
  }

  /** The model failed on a record; one that is run again after a pause counts once. */
  synchronized void failed(SourceRecord record) {
    inARow.add(record.place());
  }

  /** Whether the model itself is taken to be broken, until it works on some record. */
  synchronized boolean modelSuspected() {
    return modelSuspected;
  }

  /**
   * Whether others are to run beside what comes first: their success would say what is bad.
   *
   * @param now {@link System#nanoTime}
   */
  synchronized boolean othersWouldTell(long now) {
    return modelSuspected
        || !inARow.isEmpty()
        || failing.values().stream().anyMatch(one -> now - one.last < RECENT.toNanos());
  }

  synchronized int inARow() {
    return inARow.size();
  }

  synchronized boolean tooMany() {
    return inARow.size() >= most;
  }

  /** From now on every record may be tried, but none is given up until one goes through. */
  synchronized void suspectModel() {
    inARow.clear();
    modelSuspected = true;
  }
}
