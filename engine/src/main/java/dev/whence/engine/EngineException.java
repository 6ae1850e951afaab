package dev.whence.engine;

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

  public EngineException(Kind kind, String message) {
    super(message);
    this.kind = kind;
  }

  public EngineException(Kind kind, String message, Throwable cause) {
    super(message, cause);
    this.kind = kind;
  }

  public Kind kind() {
    return kind;
  }
}
