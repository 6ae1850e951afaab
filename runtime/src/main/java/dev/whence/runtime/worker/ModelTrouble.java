package dev.whence.runtime.worker;

import java.util.HashSet;
import java.util.Set;

/**
 * Counts different records that failed in the model one after the other, and so tells a bad record
 * from a broken model: five in a row are the fault of the environment. Owned by the model thread.
 */
final class ModelTrouble {
  private final int most;
  private final Set<String> inARow = new HashSet<>();
  private boolean modelSuspected;

  ModelTrouble(int most) {
    this.most = most;
  }

  /** The model worked on a record: it is fine, and those before it were bad records. */
  void worked() {
    inARow.clear();
    modelSuspected = false;
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
