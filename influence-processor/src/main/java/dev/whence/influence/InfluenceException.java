package dev.whence.influence;

import com.fasterxml.jackson.core.JacksonException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;

/**
 * Factors, an index, a corpus or a query that can not be used, in one sentence that says what,
 * where and what to do. The message never holds text of documents or responses.
 */
public final class InfluenceException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public InfluenceException(String message) {
    super(message);
  }

  public InfluenceException(String message, Throwable cause) {
    super(message, cause);
  }

  /**
   * Whether a file could not be read or written just now, by a disk or a network that failed, which
   * says nothing about what is in it. A file that is not there, that this process may not read, or
   * that holds something else, is none of that.
   */
  public boolean isOfEnvironment() {
    return getCause() instanceof IOException io
        && !(io instanceof JacksonException)
        && !(io instanceof NoSuchFileException)
        && !(io instanceof NotDirectoryException)
        && !(io instanceof AccessDeniedException);
  }
}
