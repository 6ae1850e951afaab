package dev.whence.engine.text.jinja;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.function.IntPredicate;

/** Python's str, on Java strings: positions count code points, white space is str.isspace. */
public final class Strings {
  /** What String.indexOf finds fast in any text. */
  private static final int SHORT = 16;

  private Strings() {}

  /** str.isspace of one character. */
  public static boolean isSpace(int c) {
    return (c >= 9 && c <= 13)
        || (c >= 0x1c && c <= 0x20)
        || c == 0x85
        || c == 0xa0
        || c == 0x1680
        || (c >= 0x2000 && c <= 0x200a)
        || c == 0x2028
        || c == 0x2029
        || c == 0x202f
        || c == 0x205f
        || c == 0x3000;
  }

  /** str.strip, on the sides asked for. */
  public static String strip(String text, boolean left, boolean right) {
    int from = 0;
    int to = text.length();
    while (left && from < to && isSpace(text.charAt(from))) {
      from++;
    }
    while (right && to > from && isSpace(text.charAt(to - 1))) {
      to--;
    }
    return text.substring(from, to);
  }

  /** Strips all characters that are in a set. */
  static String strip(String text, String characters, boolean left, boolean right) {
    if (characters.length() > SHORT) {
      BitSet set = new BitSet();
      characters.codePoints().forEach(set::set);
      return strip(text, set::get, left, right);
    }
    return strip(text, c -> characters.indexOf(c) >= 0, left, right);
  }

  private static String strip(String text, IntPredicate strips, boolean left, boolean right) {
    int from = 0;
    int to = text.length();
    while (left && from < to && strips.test(text.codePointAt(from))) {
      from += Character.charCount(text.codePointAt(from));
    }
    while (right && to > from && strips.test(text.codePointBefore(to))) {
      to -= Character.charCount(text.codePointBefore(to));
    }
    return text.substring(from, to);
  }

  static long length(String text) {
    return text.codePointCount(0, text.length());
  }

  /** split() without a separator: runs of white space, none at the ends. */
  static List<Object> splitAtSpace(String text, long most) {
    List<Object> parts = new ArrayList<>();
    int at = 0;
    while (true) {
      while (at < text.length() && isSpace(text.charAt(at))) {
        at++;
      }
      if (at == text.length()) {
        return parts;
      }
      if (most >= 0 && parts.size() == most) {
        part(strip(text.substring(at), false, true), parts);
        return parts;
      }
      int from = at;
      while (at < text.length() && !isSpace(text.charAt(at))) {
        at++;
      }
      part(text.substring(from, at), parts);
    }
  }

  static List<Object> split(String text, String separator, long most) {
    List<Object> parts = new ArrayList<>();
    int from = 0;
    while (most < 0 || parts.size() < most) {
      int at = indexOf(text, separator, from);
      if (at < 0) {
        break;
      }
      part(text.substring(from, at), parts);
      from = at + separator.length();
    }
    part(text.substring(from), parts);
    return parts;
  }

  static List<Object> splitFromRight(String text, String separator, long most) {
    List<Object> parts = new ArrayList<>();
    int to = text.length();
    while (most < 0 || parts.size() < most) {
      int at = lastIndexOf(text, separator, to);
      if (at < 0) {
        break;
      }
      part(text.substring(at + separator.length(), to), parts);
      to = at;
    }
    part(text.substring(0, to), parts);
    Collections.reverse(parts);
    return parts;
  }

  static List<Object> lines(String text) {
    List<Object> lines = new ArrayList<>();
    int from = 0;
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (c == '\n'
          || c == '\r'
          || c == '\u000b'
          || c == '\f'
          || (c >= 0x1c && c <= 0x1e)
          || c == 0x85
          || c == 0x2028
          || c == 0x2029) {
        part(text.substring(from, i), lines);
        if (c == '\r' && i + 1 < text.length() && text.charAt(i + 1) == '\n') {
          i++;
        }
        from = i + 1;
      }
    }
    if (from < text.length()) {
      part(text.substring(from), lines);
    }
    return lines;
  }

  private static void part(String text, List<Object> parts) {
    if (parts.size() == Values.MAX_ITEMS) {
      throw new JinjaException("a string is split into more than " + Values.MAX_ITEMS + " parts");
    }
    parts.add(text);
  }

  /** How often a string stands in a text, without overlaps. */
  static long count(String text, String wanted) {
    long times = 0;
    for (int at = indexOf(text, wanted, 0);
        at >= 0;
        at = indexOf(text, wanted, at + wanted.length())) {
      times++;
    }
    return times;
  }

  static String replace(String text, String old, String replacement, long most) {
    if (old.isEmpty()) {
      throw new JinjaException("replace of an empty string is not supported");
    }
    if (replacement.length() > old.length()) {
      bounded(text.length() + count(text, old) * (replacement.length() - old.length()));
    }
    StringBuilder out = new StringBuilder();
    int from = 0;
    for (long n = 0; most < 0 || n < most; n++) {
      int at = indexOf(text, old, from);
      if (at < 0) {
        break;
      }
      out.append(text, from, at).append(replacement);
      from = at + old.length();
    }
    return from == 0 ? text : out.append(text, from, text.length()).toString();
  }

  /** String.indexOf, in a time that does not grow with the length of what is wanted. */
  static int indexOf(String text, String wanted, int from) {
    return wanted.length() <= SHORT
        ? text.indexOf(wanted, from)
        : find(text, wanted, Math.min(from, text.length()), text.length(), false);
  }

  /** The last place of which the end is at or before {@code to}, or -1. */
  static int lastIndexOf(String text, String wanted, int to) {
    if (wanted.length() > to) {
      return -1;
    }
    return wanted.length() <= SHORT
        ? text.lastIndexOf(wanted, to - wanted.length())
        : find(text, wanted, 0, to, true);
  }

  /**
   * The first or last place of a string within [from, to) of a text, or -1, by Knuth, Morris and
   * Pratt, which reads each character a bounded number of times: {@link String#indexOf(String)}
   * compares what is half as long as the text anew at every position, which takes hours on a text
   * of one letter over and over.
   */
  public static int find(String text, String wanted, int from, int to, boolean backwards) {
    int length = wanted.length();
    if (length > to - from) {
      return -1;
    }
    if (length == 0) {
      return backwards ? to : from;
    }
    int[] border = new int[length + 1];
    border[0] = -1;
    for (int i = 0, k = -1; i < length; ) {
      while (k >= 0 && at(wanted, i, backwards) != at(wanted, k, backwards)) {
        k = border[k];
      }
      border[++i] = ++k;
    }
    int matched = 0;
    for (int i = 0; i < to - from; i++) {
      char c = text.charAt(backwards ? to - 1 - i : from + i);
      while (matched >= 0 && (matched == length || at(wanted, matched, backwards) != c)) {
        matched = border[matched];
      }
      matched++;
      if (matched == length) {
        return backwards ? to - 1 - i : from + i + 1 - length;
      }
    }
    return -1;
  }

  private static char at(String wanted, int index, boolean backwards) {
    return wanted.charAt(backwards ? wanted.length() - 1 - index : index);
  }

  /** Where the character of an index stands, from the end if it is negative; -1 if none does. */
  static int offset(String text, long index) {
    if (index >= text.length() || index < -text.length()) {
      return -1;
    }
    try {
      int offset = text.offsetByCodePoints(index < 0 ? text.length() : 0, (int) index);
      return offset == text.length() ? -1 : offset;
    } catch (IndexOutOfBoundsException e) {
      return -1; // it has fewer code points than UTF-16 code units
    }
  }

  /** Python orders by code points; UTF-16 order differs only among supplementary characters. */
  static int compare(String a, String b) {
    int at = 0;
    int end = Math.min(a.length(), b.length());
    while (at < end && a.charAt(at) == b.charAt(at)) {
      at++;
    }
    if (at == end) {
      return Integer.compare(a.length(), b.length());
    }
    boolean inside =
        at > 0
            && Character.isHighSurrogate(a.charAt(at - 1))
            && (Character.isLowSurrogate(a.charAt(at)) || Character.isLowSurrogate(b.charAt(at)));
    int from = inside ? at - 1 : at;
    return Integer.compare(a.codePointAt(from), b.codePointAt(from));
  }

  /** Refuses a string of such a length before it is made. */
  static void bounded(long length) {
    if (length > Values.MAX_TEXT) {
      throw new JinjaException("a string of more than " + Values.MAX_TEXT + " characters");
    }
  }

  /** Joins texts, bounded. */
  static String join(String separator, List<String> texts) {
    long length = 0;
    for (String text : texts) {
      length += text.length() + (long) separator.length();
    }
    bounded(length);
    return String.join(separator, texts);
  }

  static String upper(String text) {
    return text.toUpperCase(Locale.ROOT);
  }

  static String lower(String text) {
    return text.toLowerCase(Locale.ROOT);
  }

  /** First code point in title case, the others lower. */
  static String capitalize(String text) {
    if (text.isEmpty()) {
      return text;
    }
    int first = text.codePointAt(0);
    return Character.toString(Character.toTitleCase(first))
        + lower(text.substring(Character.charCount(first)));
  }

  /** Jinja2's filter: words are parted by white space, hyphens and opening brackets only. */
  static String titleOfWords(String text) {
    StringBuilder out = new StringBuilder(text.length());
    for (int from = 0; from < text.length(); ) {
      int to = from;
      while (to < text.length() && !partsWords(text.charAt(to))) {
        to++;
      }
      if (to == from) {
        out.append(text.charAt(from++));
      } else {
        int rest = text.offsetByCodePoints(from, 1);
        out.append(upper(text.substring(from, rest))).append(lower(text.substring(rest, to)));
        from = to;
      }
    }
    return out.toString();
  }

  private static boolean partsWords(char c) {
    return "-({[<".indexOf(c) >= 0 || isSpace(c);
  }

  /** str.title. */
  static String title(String text) {
    StringBuilder out = new StringBuilder(text.length());
    boolean inside = false;
    for (int i = 0; i < text.length(); ) {
      int c = text.codePointAt(i);
      boolean cased = Character.isLetter(c);
      out.appendCodePoint(
          !cased ? c : inside ? Character.toLowerCase(c) : Character.toTitleCase(c));
      inside = cased;
      i += Character.charCount(c);
    }
    return out.toString();
  }

  /** repr() of a string. */
  static String quoted(String text) {
    char quote = text.indexOf('\'') >= 0 && text.indexOf('"') < 0 ? '"' : '\'';
    StringBuilder out = new StringBuilder().append(quote);
    for (int i = 0; i < text.length(); ) {
      int c = text.codePointAt(i);
      i += Character.charCount(c);
      switch (c) {
        case '\n' -> out.append("\\n");
        case '\r' -> out.append("\\r");
        case '\t' -> out.append("\\t");
        case '\\' -> out.append("\\\\");
        default -> {
          if (c == quote) {
            out.append('\\').appendCodePoint(c);
          } else if (isPrintable(c)) {
            out.appendCodePoint(c);
          } else if (c < 0x100) {
            hex(c, 2, out.append("\\x"));
          } else if (c < 0x10000) {
            hex(c, 4, out.append("\\u"));
          } else {
            hex(c, 8, out.append("\\U"));
          }
        }
      }
    }
    return out.append(quote).toString();
  }

  /**
   * str.isprintable of one character. Ours: what Java's version of Unicode has not assigned is
   * printable, as Python knows a later one.
   */
  private static boolean isPrintable(int c) {
    return switch (Character.getType(c)) {
      case Character.CONTROL,
          Character.FORMAT,
          Character.SURROGATE,
          Character.PRIVATE_USE,
          Character.LINE_SEPARATOR,
          Character.PARAGRAPH_SEPARATOR ->
          false;
      case Character.SPACE_SEPARATOR -> c == ' ';
      case Character.UNASSIGNED -> (c & 0xfffe) != 0xfffe && (c < 0xfdd0 || c > 0xfdef);
      default -> true;
    };
  }

  private static void hex(int value, int digits, StringBuilder out) {
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
      out.append(Character.forDigit(value >> shift & 15, 16));
    }
  }

  /** A JSON string as json.dumps(ensure_ascii=False) writes it. */
  static void json(String text, StringBuilder out) {
    out.append('"');
    for (int i = 0; i < text.length(); i++) {
      inJson(text.charAt(i), out);
    }
    out.append('"');
  }

  /** A character of a JSON string as {@code tojson} writes it. */
  public static void inJson(char c, StringBuilder out) {
    switch (c) {
      case '"' -> out.append("\\\"");
      case '\\' -> out.append("\\\\");
      case '\n' -> out.append("\\n");
      case '\r' -> out.append("\\r");
      case '\t' -> out.append("\\t");
      case '\b' -> out.append("\\b");
      case '\f' -> out.append("\\f");
      default -> {
        if (c < 32) {
          hex(c, 4, out.append("\\u"));
        } else {
          out.append(c);
        }
      }
    }
  }
}
