package dev.whence.engine.text;

/** Text to tokens and back. Never adds special tokens, never truncates, never pads. */
public interface Tokenizer extends AutoCloseable {
  /**
   * Encodes a text as it stands. Special tokens written out in it (for example {@code <|im_end|>})
   * become those tokens, as they do in production.
   */
  Encoding encode(String text);

  /**
   * Encodes a text that stands behind a prompt, apart from it, as a model generated it: without the
   * space that the tokenizer may put before a text of its own, unless the model can only have
   * generated that space ({@code SpacePrefix} says when).
   *
   * @param prompt all that stands before it
   */
  default Encoding encodeContinuation(String prompt, String text) {
    return encode(text);
  }

  /** The text of the tokens, special tokens left out on request. */
  String decode(int[] ids, boolean skipSpecialTokens);

  int vocabularySize();

  /**
   * UTF-16 code units of a text that one token stands for at most: a text of n units has at least n
   * divided by it tokens. {@link Integer#MAX_VALUE} if no bound is known.
   */
  default int longestToken() {
    return Integer.MAX_VALUE;
  }

  /** Whether the id is a special token. */
  boolean isSpecial(int id);

  /** The id of a token written out, or -1. */
  int idOf(String token);

  @Override
  void close();
}
