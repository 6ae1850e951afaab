package dev.whence.attribution.source;

/** What counts as white space between sentences and tokens. */
public final class WhiteSpace {
  private WhiteSpace() {}

  /** White space in the wide sense: also no-break spaces, which {@link Character} leaves out. */
  public static boolean isWhite(char c) {
    return Character.isWhitespace(c) || Character.isSpaceChar(c) || c == '\u0085';
  }

  /** First position in [from, to) that is not white space, or {@code to}. */
  public static int firstVisible(String text, int from, int to) {
    int at = from;
    while (at < to && isWhite(text.charAt(at))) {
      at++;
    }
    return at;
  }
}
