package dev.whence.conversation;

/** Unicode texts as UTF-8 can carry them. */
public final class WellFormedText {
  private static final char REPLACEMENT = '\uFFFD';

  private WellFormedText() {}

  /**
   * The text with every unpaired surrogate replaced by U+FFFD. Texts cut in the middle of an emoji
   * have them, and neither UTF-8 nor a tokenizer has a form for them. One code unit takes the place
   * of one, so spans stay where they are.
   */
  public static String of(String text) {
    int at = firstUnpaired(text, 0);
    if (at < 0) {
      return text;
    }
    char[] chars = text.toCharArray();
    for (; at >= 0; at = firstUnpaired(text, at + 1)) {
      chars[at] = REPLACEMENT;
    }
    return new String(chars);
  }

  private static int firstUnpaired(String text, int from) {
    int i = from;
    while (i < text.length()) {
      char c = text.charAt(i);
      boolean paired =
          Character.isHighSurrogate(c)
              && i + 1 < text.length()
              && Character.isLowSurrogate(text.charAt(i + 1));
      if (!paired && Character.isSurrogate(c)) {
        return i;
      }
      i += paired ? 2 : 1;
    }
    return -1;
  }
}
