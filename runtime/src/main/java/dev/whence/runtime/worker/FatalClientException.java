package dev.whence.runtime.worker;

/** The clients can not go on: both are closed and new ones start at the committed offsets. */
final class FatalClientException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final boolean fenced;

  FatalClientException(String message, boolean fenced, Throwable cause) {
    super(message, cause);
    this.fenced = fenced;
  }

  /** Whether another producer with the same transactional id took over. */
  boolean fenced() {
    return fenced;
  }
}
