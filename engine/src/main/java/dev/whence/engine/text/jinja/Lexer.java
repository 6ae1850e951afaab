package dev.whence.engine.text.jinja;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Cuts a template into tokens, with the white-space rules of Jinja2's lexer: {@code -} strips all
 * white space on its side; otherwise a block or comment swallows one line feed after it
 * (trim_blocks) and the indentation before it (lstrip_blocks), unless marked {@code +}.
 */
final class Lexer {
  private static final Pattern OPENING = Pattern.compile("\\{[{%#]");
  private static final Pattern RAW = Pattern.compile("\\{%[-+]?\\s*raw\\s*(?:-%\\}\\s*|%\\})");
  private static final Pattern END_RAW =
      Pattern.compile("\\{%([-+]?)\\s*endraw\\s*(?:\\+%\\}|-%\\}\\s*|%\\}\\n?)");
  private static final Pattern NUMBER =
      Pattern.compile("[0-9][0-9_]*(\\.[0-9]+)?([eE][+-]?[0-9]+)?");
  private static final Pattern NAME = Pattern.compile("[\\p{L}_][\\p{L}\\p{N}_]*");
  private static final List<String> OPERATORS =
      List.of(
          "**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "(", ")", "[",
          "]", "{", "}", ",", ":", ".", "|", "=");

  private final String source;
  private final List<Token> tokens = new ArrayList<>();
  private int at;
  private int line = 1;
  private int counted;
  private boolean lineStarting = true;

  private Lexer(String source) {
    this.source = source;
  }

  static List<Token> tokens(String source) {
    String text = source.replace("\r\n", "\n").replace('\r', '\n');
    if (text.endsWith("\n")) {
      text = text.substring(0, text.length() - 1);
    }
    Lexer lexer = new Lexer(text);
    lexer.run();
    return lexer.tokens;
  }

  private void run() {
    Matcher opening = OPENING.matcher(source);
    while (opening.find(at)) {
      int begin = opening.start();
      char kind = source.charAt(begin + 1);
      char sign = begin + 2 < source.length() ? source.charAt(begin + 2) : ' ';
      text(before(source.substring(at, begin), sign, kind != '{'));
      at = begin;
      Matcher raw = RAW.matcher(source).region(begin, source.length());
      if (kind == '%' && raw.lookingAt()) {
        raw(raw.end());
      } else if (kind == '#') {
        comment(begin);
      } else {
        at = begin + (sign == '-' || sign == '+' ? 3 : 2);
        add(kind == '{' ? Token.Kind.EXPRESSION_BEGIN : Token.Kind.BLOCK_BEGIN, "");
        inside(kind == '{' ? "}}" : "%}");
      }
      lineStarting = at > 0 && source.charAt(at - 1) == '\n';
    }
    text(source.substring(at));
    at = source.length();
    add(Token.Kind.END, "end of template");
  }

  private String before(String text, char sign, boolean strips) {
    if (sign == '-') {
      return Strings.strip(text, false, true);
    }
    if (sign != '+' && strips) {
      int start = text.lastIndexOf('\n') + 1;
      if ((start > 0 || lineStarting)
          && Strings.strip(text.substring(start), true, true).isEmpty()) {
        return text.substring(0, start);
      }
    }
    return text;
  }

  private void raw(int begin) {
    Matcher end = END_RAW.matcher(source);
    if (!end.find(begin)) {
      throw JinjaException.at(currentLine(), "{% raw %} without {% endraw %}");
    }
    String body = source.substring(begin, end.start());
    char sign = end.group(1).isEmpty() ? ' ' : end.group(1).charAt(0);
    lineStarting = source.charAt(begin - 1) == '\n';
    text(before(body, sign, true));
    at = end.end();
  }

  private void comment(int begin) {
    int end = source.indexOf("#}", begin + 2);
    if (end < 0) {
      throw JinjaException.at(currentLine(), "a comment is not closed");
    }
    at = end + 2;
    after(source.charAt(end - 1), end - 1 > begin + 1, true);
  }

  /** White space after a closing tag. */
  private void after(char sign, boolean signed, boolean trimsLine) {
    if (signed && sign == '-') {
      while (at < source.length() && Strings.isSpace(source.charAt(at))) {
        at++;
      }
    } else if (!(signed && sign == '+')
        && trimsLine
        && at < source.length()
        && source.charAt(at) == '\n') {
      at++;
    }
  }

  private void text(String text) {
    if (!text.isEmpty()) {
      add(Token.Kind.TEXT, text);
    }
  }

  private void add(Token.Kind kind, String text) {
    tokens.add(new Token(kind, text, currentLine()));
  }

  private int currentLine() {
    for (; counted < at && counted < source.length(); counted++) {
      if (source.charAt(counted) == '\n') {
        line++;
      }
    }
    return line;
  }

  private void inside(String closing) {
    Deque<Character> open = new ArrayDeque<>();
    while (at < source.length()) {
      char c = source.charAt(at);
      if (Strings.isSpace(c)) {
        at++;
        continue;
      }
      boolean signed = (c == '-' || c == '+') && source.startsWith(closing, at + 1);
      if (open.isEmpty() && (source.startsWith(closing, at) || signed)) {
        boolean block = closing.equals("%}");
        add(block ? Token.Kind.BLOCK_END : Token.Kind.EXPRESSION_END, "");
        at += signed ? 3 : 2;
        after(c, signed, block);
        return;
      }
      if (c == '\'' || c == '"') {
        string(c);
        continue;
      }
      Matcher number = NUMBER.matcher(source).region(at, source.length());
      if (number.lookingAt()) {
        boolean whole = number.group(1) == null && number.group(2) == null;
        add(whole ? Token.Kind.INTEGER : Token.Kind.FLOAT, number.group().replace("_", ""));
        at = number.end();
        continue;
      }
      Matcher name = NAME.matcher(source).region(at, source.length());
      if (name.lookingAt()) {
        add(Token.Kind.NAME, name.group());
        at = name.end();
        continue;
      }
      operator(c, open);
    }
    throw JinjaException.at(currentLine(), "a tag is not closed by " + closing);
  }

  private void operator(char c, Deque<Character> open) {
    for (String operator : OPERATORS) {
      if (source.startsWith(operator, at)) {
        switch (c) {
          case '(' -> open.push(')');
          case '[' -> open.push(']');
          case '{' -> open.push('}');
          case ')', ']', '}' -> {
            if (open.isEmpty() || open.pop() != c) {
              throw JinjaException.at(currentLine(), "unexpected '" + c + "'");
            }
          }
          default -> {}
        }
        add(Token.Kind.OPERATOR, operator);
        at += operator.length();
        return;
      }
    }
    throw JinjaException.at(currentLine(), "unexpected character '" + c + "'");
  }

  private void string(char quote) {
    StringBuilder value = new StringBuilder();
    int i = at + 1;
    while (i < source.length() && source.charAt(i) != quote) {
      char c = source.charAt(i++);
      if (c != '\\' || i == source.length()) {
        value.append(c);
        continue;
      }
      char escaped = source.charAt(i++);
      switch (escaped) {
        case 'n' -> value.append('\n');
        case 't' -> value.append('\t');
        case 'r' -> value.append('\r');
        case 'b' -> value.append('\b');
        case 'f' -> value.append('\f');
        case 'v' -> value.append('\u000b');
        case 'a' -> value.append('\u0007');
        case '\\', '\'', '"' -> value.append(escaped);
        case '\n' -> {}
        case 'x' -> i = hex(i, 2, value);
        case 'u' -> i = hex(i, 4, value);
        case 'U' -> i = hex(i, 8, value);
        default -> {
          if (escaped >= '0' && escaped <= '7') {
            throw JinjaException.at(currentLine(), "octal escapes in strings are not supported");
          }
          value.append('\\').append(escaped);
        }
      }
    }
    if (i >= source.length()) {
      throw JinjaException.at(currentLine(), "a string is not closed");
    }
    add(Token.Kind.STRING, value.toString());
    at = i + 1;
  }

  private int hex(int from, int digits, StringBuilder value) {
    int to = from + digits;
    if (to > source.length() || !source.substring(from, to).matches("[0-9a-fA-F]+")) {
      throw JinjaException.at(currentLine(), "a \\x, \\u or \\U escape lacks digits");
    }
    long codePoint = Long.parseLong(source.substring(from, to), 16);
    if (codePoint > Character.MAX_CODE_POINT) {
      throw JinjaException.at(currentLine(), "a \\U escape is not a code point");
    }
    value.appendCodePoint((int) codePoint);
    return to;
  }
}
