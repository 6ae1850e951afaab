package dev.whence.engine;

import java.util.List;

/** Something the engine could not do, with whose fault it is. The message never holds user text. */
public final class EngineException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** Whose fault it is. */
  public enum Kind {
    /** The model files are wrong: missing, truncated, hostile, contradictory. */
    MODEL,
    /** This input can not be scored by this model, and never will be. */
    UNSUPPORTED,
    /** This input made the model fail, for example with NaN. */
    RECORD,
    /** Device, memory, disk or network: the same input may go through later. */
    ENVIRONMENT
  }

  private final Kind kind;
  private final boolean deviceLost;
  private final boolean outOfMemory;
  private final transient List<String> reasons;

  public EngineException(Kind kind, String message) {
    this(kind, message, List.of(message));
  }

  /**
   * Several things that are wrong at once.
   *
   * @param message all of them, or the first where they are many
   * @param reasons each a sentence without its full stop
   */
  public EngineException(Kind kind, String message, List<String> reasons) {
    super(message);
    this.kind = kind;
    this.deviceLost = false;
    this.outOfMemory = false;
    this.reasons = List.copyOf(reasons);
  }

  public EngineException(Kind kind, String message, Throwable cause) {
    this(kind, message, cause, /* deviceLost= */ false, /* outOfMemory= */ false);
  }

  private EngineException(
      Kind kind, String message, Throwable cause, boolean deviceLost, boolean outOfMemory) {
    super(message, cause);
    this.kind = kind;
    this.deviceLost = deviceLost;
    this.outOfMemory = outOfMemory;
    this.reasons = List.of(message);
  }

  /** The device fails for this process from now on; another process may use it again. */
  public static EngineException deviceLost(String message, Throwable cause) {
    return new EngineException(
        Kind.ENVIRONMENT, message, cause, /* deviceLost= */ true, /* outOfMemory= */ false);
  }

  /** The device has not enough memory for this input now; of kind RECORD. */
  public static EngineException outOfMemory(String message, Throwable cause) {
    return new EngineException(
        Kind.RECORD, message, cause, /* deviceLost= */ false, /* outOfMemory= */ true);
  }

  /**
   * Whether every further call on the device fails in this process, whatever the input is: of kind
   * ENVIRONMENT, and only a new process helps.
   */
  public boolean isDeviceLost() {
    return deviceLost;
  }

  /**
   * Whether the device's memory did not suffice, here or in what caused this; others that use it
   * may have a part in that.
   */
  public boolean isOutOfMemory() {
    return outOfMemory || (getCause() instanceof EngineException cause && cause.isOutOfMemory());
  }

  /** Everything that is wrong, each a sentence without its full stop. */
  public List<String> reasons() {
    return reasons;
  }

  public Kind kind() {
    return kind;
  }
}
