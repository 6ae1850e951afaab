package dev.whence.cli;

/** The command was called in a way that can not work; ends with exit code 2. */
final class UsageException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  UsageException(String message) {
    super(message);
  }
}
