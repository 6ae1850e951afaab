package dev.whence.runtime.worker;

/** The worker gave up: the process ends with status 1. The message is one sentence for people. */
public final class WorkerException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public WorkerException(String message, Throwable cause) {
    super(message, cause);
  }
}
