package dev.whence.runtime.worker;

/**
 * Something outside the record is broken: registry, network, device, disk, remote scorer. Nothing
 * goes to the dead letter queue; the worker pauses and tries again. The message never holds a value
 * of a record or a credential.
 */
public final class EnvironmentException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final boolean scorer;

  public EnvironmentException(String message) {
    super(message);
    this.scorer = false;
  }

  public EnvironmentException(String message, Throwable cause) {
    this(message, cause, /* scorer= */ false);
  }

  private EnvironmentException(String message, Throwable cause, boolean scorer) {
    super(message, cause);
    this.scorer = scorer;
  }

  /**
   * The scorer failed while it was asked about a record. If that happens again and again, while it
   * answers for others, it is the record after all; nothing else is ever held against one.
   */
  public static EnvironmentException ofScorer(String message, Throwable cause) {
    return new EnvironmentException(message, cause, /* scorer= */ true);
  }

  /** Whether the scorer failed in its work on a record. */
  public boolean isOfScorer() {
    return scorer;
  }
}
