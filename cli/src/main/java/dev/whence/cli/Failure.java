package dev.whence.cli;

import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.NoSuchFileException;

/** Turns an exception into the one sentence that a person reads. */
final class Failure {
  private Failure() {}

  static String sentence(Throwable problem) {
    Throwable cause = problem;
    while (cause instanceof UncheckedIOException && cause.getCause() != null) {
      cause = cause.getCause();
    }
    String message = cause.getMessage();
    if (cause instanceof NoSuchFileException) {
      return "'" + message + "' does not exist";
    }
    if (cause instanceof AccessDeniedException) {
      return "'" + message + "' may not be read or written";
    }
    return message == null || message.isBlank() ? cause.getClass().getSimpleName() : message;
  }
}
