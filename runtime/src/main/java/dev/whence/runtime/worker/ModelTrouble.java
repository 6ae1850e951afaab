package dev.whence.runtime.worker;

/**
 * Counts different records that failed in the model one after the other, and so tells a bad record
 * from a broken model: five in a row are the fault of the environment. Owned by the model thread.
 */
final class ModelTrouble {
  private final int most;
  private int inARow;
  private boolean modelSuspected;

  ModelTrouble(int most) {
    this.most = most;
  }

  /** The model worked on a record: it is fine, and those before it were bad records. */
  void worked() {
    inARow = 0;
    modelSuspected = false;
  }

  /** The model failed on a record that it had not failed on before. */
  void failed() {
    inARow++;
  }

  /** Whether the model itself is taken to be broken, until it works on some record. */
  boolean modelSuspected() {
    return modelSuspected;
  }

  int inARow() {
    return inARow;
  }

  boolean tooMany() {
    return inARow >= most;
  }

  /** From now on every record may be tried, but none is given up until one goes through. */
  void suspectModel() {
    inARow = 0;
    modelSuspected = true;
  }
}
