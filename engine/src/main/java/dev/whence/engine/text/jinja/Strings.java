package dev.whence.engine.text.jinja;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Python's str, on Java strings: positions count code points, white space is str.isspace. */
public final class Strings {
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
    int from = 0;
    int to = text.length();
    while (left && from < to && characters.indexOf(text.codePointAt(from)) >= 0) {
      from += Character.charCount(text.codePointAt(from));
    }
    while (right && to > from && characters.indexOf(text.codePointBefore(to)) >= 0) {
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
        parts.add(strip(text.substring(at), false, true));
        return parts;
      }
      int from = at;
      while (at < text.length() && !isSpace(text.charAt(at))) {
        at++;
      }
      parts.add(text.substring(from, at));
    }
  }

  static List<Object> split(String text, String separator, long most) {
    List<Object> parts = new ArrayList<>();
    int from = 0;
    while (most < 0 || parts.size() < most) {
      int at = text.indexOf(separator, from);
      if (at < 0) {
        break;
      }
      parts.add(text.substring(from, at));
      from = at + separator.length();
    }
    parts.add(text.substring(from));
    return parts;
  }

  static List<Object> splitFromRight(String text, String separator, long most) {
    List<Object> parts = new ArrayList<>();
    int to = text.length();
    while (most < 0 || parts.size() < most) {
      int at =
          to - separator.length() < 0 ? -1 : text.lastIndexOf(separator, to - separator.length());
      if (at < 0) {
        break;
      }
      parts.add(0, text.substring(at + separator.length(), to));
      to = at;
    }
    parts.add(0, text.substring(0, to));
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
        lines.add(text.substring(from, i));
        if (c == '\r' && i + 1 < text.length() && text.charAt(i + 1) == '\n') {
          i++;
        }
        from = i + 1;
      }
    }
    if (from < text.length()) {
      lines.add(text.substring(from));
    }
    return lines;
  }

  static String replace(String text, String old, String replacement, long most) {
    if (!old.isEmpty() && replacement.length() > old.length()) {
      long times = 0;
      for (int at = text.indexOf(old); at >= 0; at = text.indexOf(old, at + old.length())) {
        times++;
      }
      bounded(text.length() + times * (replacement.length() - old.length()));
    }
    if (most < 0 && !old.isEmpty()) {
      return text.replace(old, replacement);
    }
    if (old.isEmpty()) {
      throw new JinjaException("replace of an empty string is not supported");
    }
    StringBuilder out = new StringBuilder();
    int from = 0;
    for (long n = 0; n < most; n++) {
      int at = text.indexOf(old, from);
      if (at < 0) {
        break;
      }
      out.append(text, from, at).append(replacement);
      from = at + old.length();
    }
    return out.append(text, from, text.length()).toString();
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
          } else if (c < 32 || c == 127) {
            out.append(String.format(Locale.ROOT, "\\x%02x", c));
          } else {
            out.appendCodePoint(c);
          }
        }
      }
    }
    return out.append(quote).toString();
  }

  /** A JSON string as json.dumps(ensure_ascii=False) writes it. */
  static void json(String text, StringBuilder out) {
    out.append('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
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
            out.append(String.format(Locale.ROOT, "\\u%04x", (int) c));
          } else {
            out.append(c);
          }
        }
      }
    }
    out.append('"');
  }
}
