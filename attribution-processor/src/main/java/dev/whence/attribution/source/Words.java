package dev.whence.attribution.source;

import java.lang.Character.UnicodeScript;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * The words of a text: runs of letters, digits and marks. In scripts that are written without
 * spaces each letter is a word of its own, with the marks on it: where their words end is not to be
 * seen in the text.
 */
public final class Words {
  private static final Set<UnicodeScript> WITHOUT_SPACES =
      EnumSet.of(
          UnicodeScript.HIRAGANA,
          UnicodeScript.KATAKANA,
          UnicodeScript.THAI,
          UnicodeScript.LAO,
          UnicodeScript.KHMER,
          UnicodeScript.MYANMAR);

  private final String text;
  private int start;
  private int end;

  /** Before the first word of a text. */
  public Words(String text) {
    this.text = text;
  }

  /** All of them in order, in lower case. */
  public static List<String> of(String text) {
    List<String> all = new ArrayList<>();
    for (Words words = new Words(text); words.next(); ) {
      all.add(words.text());
    }
    return all;
  }

  /** Goes on to the next word; false: there is none. */
  public boolean next() {
    start = end;
    while (start < text.length() && !isPart(text.codePointAt(start))) {
      start += Character.charCount(text.codePointAt(start));
    }
    end = start;
    boolean alone = false;
    while (end < text.length()) {
      int point = text.codePointAt(end);
      boolean mark = isMark(point);
      if (!isPart(point) || (end > start && !mark && (alone || standsAlone(point)))) {
        break;
      }
      alone |= !mark && standsAlone(point);
      end += Character.charCount(point);
    }
    return end > start;
  }

  /** Where it begins in the text, UTF-16. */
  public int start() {
    return start;
  }

  /** Where it ends in the text, UTF-16. */
  public int end() {
    return end;
  }

  /** The word in lower case. */
  public String text() {
    return text.substring(start, end).toLowerCase(Locale.ROOT);
  }

  private static boolean standsAlone(int point) {
    return Character.isIdeographic(point) || WITHOUT_SPACES.contains(UnicodeScript.of(point));
  }

  private static boolean isPart(int point) {
    return Character.isLetterOrDigit(point)
        || isMark(point)
        || Character.getType(point) == Character.LETTER_NUMBER
        || Character.getType(point) == Character.OTHER_NUMBER;
  }

  private static boolean isMark(int point) {
    int type = Character.getType(point);
    return type == Character.NON_SPACING_MARK
        || type == Character.COMBINING_SPACING_MARK
        || type == Character.ENCLOSING_MARK;
  }
}
