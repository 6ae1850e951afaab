package dev.whence.runtime.worker;

/** The clients can not go on: both are closed and new ones start at the committed offsets. */
final class FatalClientException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final boolean fenced;
  private final boolean inDoubt;

  /** Nothing was written. */
  FatalClientException(String message) {
    super(message);
    this.fenced = false;
    this.inDoubt = false;
  }

  FatalClientException(String message, boolean fenced, boolean inDoubt, Throwable cause) {
    super(message, cause);
    this.fenced = fenced;
    this.inDoubt = inDoubt;
  }

  /**
   * Whether another producer with the same transactional id took over; a transaction that its
   * coordinator has ended as too long tells of none.
   */
  boolean fenced() {
    return fenced;
  }

  /** Whether a commit was begun of which nobody knows whether it took effect. */
  boolean inDoubt() {
    return inDoubt;
  }
}
