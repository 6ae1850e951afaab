package dev.whence.runtime.worker;

/**
 * Something outside the record is broken: registry, network, device, disk, remote scorer. Nothing
 * goes to the dead letter queue; the worker pauses and tries again. The message never holds a value
 * of a record or a credential.
 */
public final class EnvironmentException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public EnvironmentException(String message) {
    super(message);
  }

  public EnvironmentException(String message, Throwable cause) {
    super(message, cause);
  }
}
