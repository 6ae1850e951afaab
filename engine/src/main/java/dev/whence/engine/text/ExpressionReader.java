package dev.whence.engine.text;

import static dev.whence.engine.text.Expression.NO_END;

import dev.whence.engine.text.Expression.Atomic;
import dev.whence.engine.text.Expression.Choice;
import dev.whence.engine.text.Expression.Letters;
import dev.whence.engine.text.Expression.Look;
import dev.whence.engine.text.Expression.Node;
import dev.whence.engine.text.Expression.One;
import dev.whence.engine.text.Expression.Place;
import dev.whence.engine.text.Expression.Repeat;
import dev.whence.engine.text.Expression.Row;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** Reads an {@link Expression} by recursive descent. */
final class ExpressionReader {
  /** DeepSeek's has some 600. */
  private static final int LONGEST = 1 << 14;

  private static final int DEEPEST = 50;

  /** A class of more characters counts as one of several kinds. */
  private static final int WIDEST = 1 << 12;

  /** Oniguruma's own bound. */
  private static final int MOST_TIMES = 100_000;

  private static final Pattern INTERVAL =
      Pattern.compile("\\{(?:([0-9]+)(?:(,)([0-9]*))?|,([0-9]+))}");
  private static final Pattern OPTIONS = Pattern.compile("\\(\\?([imWDSP-]{1,12})([:)])");
  private static final Pattern NAMED = Pattern.compile("\\(\\?<[A-Za-z_][A-Za-z0-9_]{0,63}>");
  private static final Pattern PROPERTY = Pattern.compile("\\{[A-Za-z0-9_ &=:^-]{1,64}}");
  private static final Pattern HEX =
      Pattern.compile("x\\{[0-9A-Fa-f]{1,8}}|x[0-9A-Fa-f]{1,2}|u[0-9A-Fa-f]{4}");

  /**
   * What is in known tokenizers and can match a text in one way only, by what stands for it: a
   * repetition that costs at least as many steps, as long as nothing behind it may fail. Where
   * something may, it is refused as any other.
   */
  private static final Map<String, Node> KNOWN =
      Map.of(
          // Laguna: behind all line breaks there is none, so the second part never fails
          "(?:\\r?\\n)+(?!\\r?\\n)", run(Letters.SPACE, Letters.SPACE),
          // K-EXAONE: a letter begins an iteration, a space one within; each letter costs two
          // steps, one where no mark and one where no space follows
          "(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+",
              run(Letters.LETTERS, Letters.LETTERS, Letters.SPACE));

  private static Node run(Letters... kinds) {
    return new Repeat(new Choice(Arrays.stream(kinds).<Node>map(One::new).toList()), 1, NO_END);
  }

  private final String text;
  private int at;
  private int depth;

  ExpressionReader(String text) {
    this.text = text;
  }

  /**
   * Reads all of it.
   *
   * @throws IllegalArgumentException that says what is wrong, as the rest of a sentence about it
   */
  Node read() {
    if (text.length() > LONGEST) {
      throw new IllegalArgumentException("has more than " + LONGEST + " characters");
    }
    Node root = choice();
    if (at < text.length()) {
      throw unknown();
    }
    return root;
  }

  private IllegalArgumentException unknown() {
    return new IllegalArgumentException(
        "has at character "
            + (at + 1)
            + " something that Whence does not read (a back-reference, a call, a condition, an"
            + " option such as (?x)), or it is incomplete");
  }

  private boolean sees(String wanted) {
    return text.startsWith(wanted, at);
  }

  private boolean takes(String wanted) {
    boolean there = sees(wanted);
    at += there ? wanted.length() : 0;
    return there;
  }

  private Node choice() {
    if (++depth > DEEPEST) {
      throw new IllegalArgumentException("is nested deeper than " + DEEPEST);
    }
    List<Node> nodes = new ArrayList<>();
    do {
      nodes.add(row());
    } while (takes("|"));
    depth--;
    return nodes.size() == 1 ? nodes.get(0) : new Choice(nodes);
  }

  private Node row() {
    List<Node> nodes = new ArrayList<>();
    while (at < text.length() && !sees("|") && !sees(")")) {
      Matcher options = OPTIONS.matcher(text).region(at, text.length());
      if (options.lookingAt() && options.group(2).equals(")")) {
        at = options.end();
        nodes.add(choice()); // the options, and so the rest, go over what is to choose from
      } else {
        Node known = known();
        nodes.add(known == null ? repeated(node()) : known);
      }
    }
    return nodes.size() == 1 ? nodes.get(0) : new Row(nodes);
  }

  /** What stands for a part that is known, unless a repetition behind it makes it another. */
  private @Nullable Node known() {
    for (Map.Entry<String, Node> each : KNOWN.entrySet()) {
      int end = at + each.getKey().length();
      boolean repeated = end < text.length() && "*+?{".indexOf(text.charAt(end)) >= 0;
      if (!repeated && takes(each.getKey())) {
        return each.getValue();
      }
    }
    return null;
  }

  private Node repeated(Node node) {
    Node repeated = node;
    for (int wrapped = 0; at < text.length(); wrapped++) {
      Matcher interval = INTERVAL.matcher(text).region(at, text.length());
      int least;
      int most;
      boolean counted = false;
      if (takes("*")) {
        least = 0;
        most = NO_END;
      } else if (takes("+")) {
        least = 1;
        most = NO_END;
      } else if (takes("?")) {
        least = 0;
        most = 1;
      } else if (interval.lookingAt()) {
        at = interval.end();
        counted = true;
        least = times(interval.group(1), 0);
        most =
            interval.group(1) == null
                ? times(interval.group(4), 0)
                : interval.group(2) == null ? least : times(interval.group(3), NO_END);
        if (most < least) {
          throw unknown();
        }
      } else {
        return repeated;
      }
      if (wrapped == DEEPEST) {
        throw unknown();
      }
      boolean possessive = !counted && takes("+");
      boolean lazy = !possessive && takes("?");
      Node again = new Repeat(repeated, least, most);
      // {n}? is another repetition in Oniguruma, which may leave it out
      repeated =
          possessive
              ? new Atomic(again)
              : lazy && counted && least == most ? new Repeat(again, 0, 1) : again;
    }
    return repeated;
  }

  private int times(@Nullable String digits, int without) {
    if (digits == null || digits.isEmpty()) {
      return without;
    }
    int times = digits.length() > 9 ? Integer.MAX_VALUE : Integer.parseInt(digits);
    if (times > MOST_TIMES) {
      throw unknown();
    }
    return times;
  }

  private Node node() {
    char c = text.charAt(at);
    switch (c) {
      case '(' -> {
        return group();
      }
      case '[' -> {
        return new One(oneOf());
      }
      case '.' -> {
        at++;
        return new One(Letters.MIXED);
      }
      case '^', '$' -> {
        at++;
        return new Place();
      }
      case '*', '+', '?' -> throw unknown();
      case '\\' -> {
        at++;
        if (at < text.length() && "bBAZzGKyY".indexOf(text.charAt(at)) >= 0) {
          at++;
          return new Place();
        }
        return new One(escaped());
      }
      default -> {
        int literal = text.codePointAt(at);
        at += Character.charCount(literal);
        return new One(Letters.of(literal));
      }
    }
  }

  private Node group() {
    Matcher options = OPTIONS.matcher(text).region(at, text.length());
    Matcher named = NAMED.matcher(text).region(at, text.length());
    if (takes("(?:")) {
      return closed(choice());
    }
    if (takes("(?=") || takes("(?!")) {
      return new Look(closed(choice()), false);
    }
    if (takes("(?<=") || takes("(?<!")) {
      return new Look(closed(choice()), true);
    }
    if (takes("(?>")) {
      return new Atomic(closed(choice()));
    }
    if (options.lookingAt()) {
      at = options.end();
      return closed(choice());
    }
    if (named.lookingAt()) {
      at = named.end();
      return closed(choice());
    }
    if (sees("(?") || sees("(*")) {
      throw unknown();
    }
    at++;
    return closed(choice());
  }

  private Node closed(Node body) {
    if (!takes(")")) {
      throw unknown();
    }
    return body;
  }

  /** What stands behind a backslash. */
  private Letters escaped() {
    if (at == text.length()) {
      throw unknown();
    }
    int c = text.codePointAt(at);
    Matcher hex = HEX.matcher(text).region(at, text.length());
    if (hex.lookingAt()) {
      at = hex.end();
      return Letters.MIXED;
    }
    at += Character.charCount(c);
    if (c == 'p' || c == 'P') {
      Matcher property = PROPERTY.matcher(text).region(at, text.length());
      if (!property.lookingAt()) {
        throw unknown();
      }
      at = property.end();
      String name = property.group().substring(1, property.group().length() - 1);
      return c == 'p' ? Letters.ofProperty(name) : Letters.MIXED;
    }
    boolean letter = c < 128 && Character.isLetterOrDigit(c);
    return switch (c) {
      case 's', 't', 'n', 'r', 'f', 'v', 'R' -> Letters.SPACE;
      case 'd' -> Letters.DIGITS;
      case 'S', 'D', 'w', 'W', 'h', 'H', 'N', 'O', 'a', 'e', '0' -> Letters.MIXED;
      default -> {
        if (letter) {
          at--;
          throw unknown();
        }
        yield Letters.of(c);
      }
    };
  }

  /** A class in brackets, which may have others in it. */
  private Letters oneOf() {
    if (++depth > DEEPEST) {
      throw new IllegalArgumentException("is nested deeper than " + DEEPEST);
    }
    at++;
    boolean all = takes("^");
    if (sees("]")) {
      throw unknown();
    }
    List<Letters> found = new ArrayList<>();
    boolean narrowed = false;
    while (!takes("]")) {
      if (at >= text.length()) {
        throw unknown();
      }
      if (takes("&&")) {
        narrowed = true; // what follows takes characters away
      }
      if (sees("]")) {
        continue;
      }
      Letters next = member();
      if (!narrowed) {
        found.add(next);
      }
    }
    depth--;
    return all ? Letters.MIXED : found.stream().reduce(Letters::and).orElse(Letters.MIXED);
  }

  private Letters member() {
    if (sees("[")) {
      return oneOf();
    }
    if (takes("\\")) {
      return escaped();
    }
    int from = text.codePointAt(at);
    at += Character.charCount(from);
    boolean range = sees("-") && at + 1 < text.length() && "]\\[".indexOf(text.charAt(at + 1)) < 0;
    if (!range) {
      return Letters.of(from);
    }
    at++;
    int to = text.codePointAt(at);
    at += Character.charCount(to);
    Letters letters = Letters.of(from);
    for (int c = from; c <= to && letters != Letters.MIXED; c++) {
      letters = c - from > WIDEST ? Letters.MIXED : letters.and(Letters.of(c));
    }
    return letters;
  }
}
