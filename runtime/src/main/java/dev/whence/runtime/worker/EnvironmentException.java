package dev.whence.runtime.worker;

/**
 * Something outside the record is broken: registry, network, device, disk, remote scorer. Nothing
 * goes to the dead letter queue; the worker pauses and tries again. The message never holds a value
 * of a record or a credential.
 */
public final class EnvironmentException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final boolean scorer;
  private final boolean forProcess;

  public EnvironmentException(String message) {
    super(message);
    this.scorer = false;
    this.forProcess = false;
  }

  public EnvironmentException(String message, Throwable cause) {
    this(message, cause, /* scorer= */ false, /* forProcess= */ false);
  }

  private EnvironmentException(
      String message, Throwable cause, boolean scorer, boolean forProcess) {
    super(message, cause);
    this.scorer = scorer;
    this.forProcess = forProcess;
  }

  /**
   * The scorer failed while it was asked about a record. If that happens again and again, while it
   * answers for others, it is the record after all; nothing else is ever held against one.
   */
  public static EnvironmentException ofScorer(String message, Throwable cause) {
    return new EnvironmentException(message, cause, /* scorer= */ true, /* forProcess= */ false);
  }

  /**
   * No further try in this process can go through, as after a lost CUDA context: the worker halts
   * it at once, for its supervisor to start another. That counts as a death on the records that had
   * begun, so one that does it every time is given up like any that kills the process.
   */
  public static EnvironmentException ofProcess(String message, Throwable cause) {
    return new EnvironmentException(message, cause, /* scorer= */ false, /* forProcess= */ true);
  }

  /** Whether only a new process can go on. */
  public boolean isOfProcess() {
    return forProcess;
  }

  /** Whether the scorer failed in its work on a record. */
  public boolean isOfScorer() {
    return scorer;
  }
}
