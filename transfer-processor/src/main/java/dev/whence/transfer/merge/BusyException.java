package dev.whence.transfer.merge;

/** Another process, or another thread of this one, writes to the same place. */
public final class BusyException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  BusyException(String message) {
    super(message);
  }
}
