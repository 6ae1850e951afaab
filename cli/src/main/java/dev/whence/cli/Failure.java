package dev.whence.cli;

import dev.whence.files.FileProblem;
import dev.whence.quickstart.view.DisplayText;
import dev.whence.runtime.config.ConfigException;
import dev.whence.transfer.TransferException;
import java.io.UncheckedIOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.util.List;

/** Turns an exception into the sentence, or the sentences, that a person reads. */
final class Failure {
  private Failure() {}

  /**
   * Of a transfer or a configuration everything that is wrong, a sentence each; of all else the one
   * sentence.
   */
  static List<String> sentences(Throwable problem) {
    if (problem instanceof TransferException refused && !refused.reasons().isEmpty()) {
      return refused.reasons();
    }
    return problem instanceof ConfigException wrong ? wrong.problems() : List.of(sentence(problem));
  }

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
    if (cause instanceof FileSystemException file && file.getFile() != null) {
      return "'" + file.getFile() + "' can not be used: " + FileProblem.words(file);
    }
    if (cause instanceof CharacterCodingException) {
      return "a text file is not in UTF-8";
    }
    return message == null || message.isBlank() ? cause.getClass().getSimpleName() : message;
  }

  /**
   * A sentence on one line that can be shown: it may quote names out of files, of which nobody
   * knows what they do to a terminal or to a log.
   */
  static String oneLine(String sentence) {
    return DisplayText.clean(sentence.replaceAll("\\s*\\R\\s*", "; "));
  }

  /**
   * @param heapBytes the most that the JVM's heap may grow to
   */
  static String outOfMemory(OutOfMemoryError error, long heapBytes) {
    return "out of memory ("
        + error.getMessage()
        + "); the heap may have "
        + (heapBytes >> 20)
        + " MiB, and WHENCE_JAVA_OPTS=-Xmx4g, for example, gives it more";
  }
}
