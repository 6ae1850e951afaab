package dev.whence.runtime.serde;

/** A value that is not what its topic holds. The message never quotes it. */
public final class UnreadableException extends Exception {
  private static final long serialVersionUID = 1L;

  private final String code;

  public UnreadableException(String code, String message) {
    super(message);
    this.code = code;
  }

  UnreadableException(String code, String message, Throwable cause) {
    super(message, cause);
    this.code = code;
  }

  /** Stable, upper case. */
  public String code() {
    return code;
  }

  /** The sentence; never null. */
  public String sentence() {
    return String.valueOf(getMessage());
  }
}
