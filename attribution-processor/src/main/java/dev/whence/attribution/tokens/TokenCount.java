package dev.whence.attribution.tokens;

import dev.whence.engine.text.Tokenizer;

/**
 * Whether a text has far more tokens than a window, found without holding all its tokens at once: 8
 * MiB of digits are eight million tokens, a gigabyte.
 *
 * <p>A long text is counted in pieces, and only until the count is twice the window. A cut through
 * a token makes a few more of it, but never doubles the tokens of a whole piece, so a text that
 * fits is never said to be over; one that is over by less is left to its real tokens.
 */
public final class TokenCount {
  private static final int PIECE = 1 << 16;

  /** Texts have three to five characters a token; counting twice would be waste for these. */
  private static final int CHARACTERS_PER_TOKEN = 8;

  private TokenCount() {}

  /** Whether the text has over twice {@code window} tokens; false for a short one. */
  public static boolean isOver(Tokenizer tokenizer, String text, int window) {
    if (text.length() <= Math.max((long) CHARACTERS_PER_TOKEN * window, PIECE)) {
      return false;
    }
    long tokens = 0;
    int from = 0;
    while (from < text.length() && tokens <= 2L * window) {
      int to = Math.min(from + PIECE, text.length());
      if (to < text.length() && Character.isLowSurrogate(text.charAt(to))) {
        to--;
      }
      tokens += tokenizer.encode(text.substring(from, to)).length();
      from = to;
    }
    return tokens > 2L * window;
  }
}
