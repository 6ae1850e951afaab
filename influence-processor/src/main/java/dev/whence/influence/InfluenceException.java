package dev.whence.influence;

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
}
