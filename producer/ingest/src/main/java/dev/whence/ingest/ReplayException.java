package dev.whence.ingest;

/** Why a replay can not go on; one sentence, with what to do. */
public final class ReplayException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public ReplayException(String message) {
    super(message);
  }
}
