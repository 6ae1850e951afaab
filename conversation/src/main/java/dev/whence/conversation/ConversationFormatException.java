package dev.whence.conversation;

/**
 * A line that is not a conversation. The message names the field and what is wrong with it, never
 * the field's value: prompts and responses do not belong in logs.
 */
public final class ConversationFormatException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final String field;

  public ConversationFormatException(String field, String problem) {
    super(field + " " + problem);
    this.field = field;
  }

  /** Where it is, for example {@code messages[2].content[0].kind}. */
  public String field() {
    return field;
  }
}
