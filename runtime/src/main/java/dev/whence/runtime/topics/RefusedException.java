package dev.whence.runtime.topics;

/** The cluster answered, and will answer the same the next time: only this one topic's matter. */
final class RefusedException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  RefusedException(String message, Throwable cause) {
    super(message, cause);
  }
}
