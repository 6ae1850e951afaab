package dev.whence.transfer.merge;

/** A merge was told to stop; what it has done is on disk and a later run goes on from there. */
public final class StoppedException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public StoppedException() {
    super("the merge was told to stop; the same request goes on where it was");
  }
}
