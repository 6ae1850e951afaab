package dev.whence.runtime.worker;

import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/**
 * Counts different records that failed in the model one after the other, and so tells a bad record
 * from a broken model: five in a row are the fault of the environment. Counts, too, how often the
 * environment failed on one record, and how often another went through right after it: that often
 * enough, and it is the record. Owned by the model thread.
 */
final class ModelTrouble {
  /** So often the environment may fail on a record before others are tried ahead of it. */
  static final int BEFORE_OTHERS = 3;

  /** In so many batches others may go through right after the environment failed on a record. */
  static final int WHILE_OTHERS_WORK = 5;

  /** Records whose failures are remembered: one a partition, as a rule. */
  private static final int REMEMBERED = 1000;

  private final int most;
  private final Set<String> inARow = new HashSet<>();
  private final Map<String, Integer> environment = new HashMap<>();
  private final Map<String, Integer> others = new HashMap<>();
  private boolean modelSuspected;

  ModelTrouble(int most) {
    this.most = most;
  }

  /** The model worked on a record: it is fine, and those before it were bad records. */
  void worked() {
    inARow.clear();
    modelSuspected = false;
  }

  /**
   * The environment failed on a record.
   *
   * @return whether it has done so often enough to see if it does on others, too
   */
  boolean environmentFailed(SourceRecord record) {
    if (environment.size() >= REMEMBERED) {
      environment.clear();
      others.clear();
    }
    return environment.merge(record.place(), 1, Integer::sum) >= BEFORE_OTHERS;
  }

  /**
   * The model worked on another record, right after the environment had failed on this one.
   *
   * @return whether this has happened often enough to be the record's fault
   */
  boolean othersWork(SourceRecord record) {
    return others.merge(record.place(), 1, Integer::sum) >= WHILE_OTHERS_WORK;
  }

  /** The record is done, in whatever way. */
  void forget(SourceRecord record) {
    environment.remove(record.place());
    others.remove(record.place());
  }

  /** The model failed on a record; one that is run again after a pause counts once. */
  void failed(SourceRecord record) {
    inARow.add(record.place());
  }

  /** Whether the model itself is taken to be broken, until it works on some record. */
  boolean modelSuspected() {
    return modelSuspected;
  }

  int inARow() {
    return inARow.size();
  }

  boolean tooMany() {
    return inARow.size() >= most;
  }

  /** From now on every record may be tried, but none is given up until one goes through. */
  void suspectModel() {
    inARow.clear();
    modelSuspected = true;
  }
}
