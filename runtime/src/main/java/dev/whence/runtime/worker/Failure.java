package dev.whence.runtime.worker;

/**
 * Why a record could not be processed.
 *
 * @param code stable, upper case, for example {@code UNDECODABLE}
 * @param message one sentence; never holds a value of the record
 * @param exception class of what was thrown, or empty
 */
public record Failure(String code, String message, String exception) {
  public Failure(String code, String message) {
    this(code, message, "");
  }

  /**
   * A failure out of an exception that nobody expected. Its message is left out, for it may quote
   * the record; the place in the code is said instead.
   */
  public static Failure unexpected(String code, Throwable thrown) {
    return new Failure(code, "threw " + describe(thrown), thrown.getClass().getName());
  }

  /** Classes and places of an exception and its causes, without their messages. */
  public static String describe(Throwable thrown) {
    StringBuilder out = new StringBuilder();
    Throwable cause = thrown;
    for (int depth = 0; cause != null && depth < 4; depth++, cause = cause.getCause()) {
      out.append(depth == 0 ? "" : ", caused by ").append(cause.getClass().getName());
      StackTraceElement[] frames = cause.getStackTrace();
      if (frames.length > 0) {
        out.append(" at ").append(frames[0]);
      }
    }
    return out.toString();
  }
}
