package dev.whence.attribution.tokens;

/**
 * The tokens [from, to) of a prompt that have a character of the reasoning in them. Without
 * reasoning both are the prompt's length.
 *
 * <p>A tokenizer may join the reasoning's last character and the line feed after it; the model
 * wrote that token, too, so it belongs to the reasoning. The tag that closes it does not.
 */
public record ReasoningTokens(int from, int to) {
  static ReasoningTokens none(int promptTokens) {
    return new ReasoningTokens(promptTokens, promptTokens);
  }

  /** How many they are. */
  public int count() {
    return to - from;
  }

  ReasoningTokens shift(int by) {
    return new ReasoningTokens(from + by, to + by);
  }
}
