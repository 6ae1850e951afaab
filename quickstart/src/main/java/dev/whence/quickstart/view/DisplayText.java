package dev.whence.quickstart.view;

import com.ibm.icu.lang.UCharacter;
import com.ibm.icu.lang.UProperty;
import java.util.ArrayList;
import java.util.List;

/**
 * Text that comes from outside, made fit for a terminal: nothing in it can move the cursor, change
 * colours or reverse the direction of what follows, and its width in columns is known.
 */
public final class DisplayText {
  private static final int REPLACEMENT = 0xFFFD;
  private static final int ZERO_WIDTH_NON_JOINER = 0x200C;
  private static final int ZERO_WIDTH_JOINER = 0x200D;

  private DisplayText() {}

  /** A piece of text in one style. */
  record Run(String text, Style style) {}

  /** What is never broken: a word, or one character of a script without spaces. */
  private record Atom(String text, int width, Style style, boolean spaceBefore) {}

  /**
   * White space of any kind becomes one space, control characters and unpaired surrogates become
   * U+FFFD, and invisible format characters (overrides of direction, soft hyphens, ...) go.
   */
  public static String clean(String text) {
    StringBuilder clean = new StringBuilder(text.length());
    boolean space = false;
    for (int i = 0; i < text.length(); ) {
      int c = text.codePointAt(i);
      i += Character.charCount(c);
      boolean white = Character.isWhitespace(c) || Character.isSpaceChar(c);
      if (!white) {
        append(clean, c);
      } else if (!space) {
        clean.append(' ');
      }
      space = white;
    }
    return clean.toString();
  }

  private static void append(StringBuilder clean, int c) {
    switch (Character.getType(c)) {
      case Character.CONTROL, Character.SURROGATE -> clean.appendCodePoint(REPLACEMENT);
      case Character.FORMAT -> {
        if (c == ZERO_WIDTH_NON_JOINER || c == ZERO_WIDTH_JOINER) { // part of words and of emoji
          clean.appendCodePoint(c);
        }
      }
      default -> clean.appendCodePoint(c);
    }
  }

  /** Columns that cleaned text takes. */
  static int width(String text) {
    return text.codePoints().map(DisplayText::width).sum();
  }

  private static int width(int c) {
    return switch (Character.getType(c)) {
      case Character.NON_SPACING_MARK, Character.ENCLOSING_MARK, Character.FORMAT -> 0;
      default ->
          switch (UCharacter.getIntPropertyValue(c, UProperty.EAST_ASIAN_WIDTH)) {
            case UCharacter.EastAsianWidth.FULLWIDTH, UCharacter.EastAsianWidth.WIDE -> 2;
            default -> 1;
          };
    };
  }

  /** The first columns of cleaned text, with an ellipsis where it is cut. */
  static String fit(String text, int columns, String ellipsis) {
    if (width(text) <= columns) {
      return text;
    }
    StringBuilder fitting = new StringBuilder();
    int used = width(ellipsis);
    for (int i = 0; i < text.length(); ) {
      int c = text.codePointAt(i);
      used += width(c);
      if (used > columns) {
        break;
      }
      fitting.appendCodePoint(c);
      i += Character.charCount(c);
    }
    return fitting.toString().stripTrailing() + ellipsis;
  }

  /**
   * Lays runs out in lines. A space between two words of one run keeps the run's style.
   *
   * @param runs cleaned text
   * @param first what the first line starts with
   * @param indent columns that the other lines are indented by
   * @param columns width of a line
   * @param ansi whether styles are written
   */
  static List<String> wrap(List<Run> runs, String first, int indent, int columns, boolean ansi) {
    List<String> lines = new ArrayList<>();
    StringBuilder line = new StringBuilder(first);
    int used = width(first.replaceAll("\u001b\\[[0-9;]*m", ""));
    int start = used;
    Style current = Style.PLAIN;
    for (Atom atom : atoms(runs, Math.max(1, columns - indent))) {
      int gap = atom.spaceBefore() && used > start ? 1 : 0;
      if (used + gap + atom.width() > columns && used > start) {
        lines.add(line.append(ansi ? current.end() : "").toString());
        line = new StringBuilder(" ".repeat(indent));
        used = indent;
        start = indent;
        gap = 0;
        current = Style.PLAIN;
      }
      boolean same = atom.style().equals(current);
      if (gap > 0 && same) {
        line.append(' ');
      }
      if (!same && ansi) {
        line.append(current.end());
      }
      if (gap > 0 && !same) {
        line.append(' ');
      }
      if (!same && ansi) {
        line.append(atom.style().begin());
      }
      line.append(atom.text());
      current = atom.style();
      used += gap + atom.width();
    }
    lines.add(line.append(ansi ? current.end() : "").toString());
    return lines;
  }

  private static List<Atom> atoms(List<Run> runs, int columns) {
    List<Atom> atoms = new ArrayList<>();
    boolean space = false;
    for (Run run : runs) {
      StringBuilder word = new StringBuilder();
      int width = 0;
      for (int i = 0; i < run.text().length(); ) {
        int c = run.text().codePointAt(i);
        i += Character.charCount(c);
        int w = width(c);
        boolean breaks = c == ' ' || w == 2 || width + w > columns;
        if (breaks && word.length() > 0) {
          atoms.add(new Atom(word.toString(), width, run.style(), space));
          word.setLength(0);
          width = 0;
          space = false;
        }
        if (c == ' ') {
          space = true;
        } else {
          word.appendCodePoint(c);
          width += w;
        }
      }
      if (word.length() > 0) {
        atoms.add(new Atom(word.toString(), width, run.style(), space));
        space = false;
      }
    }
    return atoms;
  }
}
