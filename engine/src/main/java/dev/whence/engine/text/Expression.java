package dev.whence.engine.text;

import dev.whence.engine.text.jinja.Strings;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * A regular expression in Oniguruma's syntax, as far as one has to read it to say how often a match
 * may step back.
 *
 * <p>A node is left in {@code ways} ways where what follows may fail, and in one where it can not:
 * then the first way is the last. So a repetition without an end has n ways on a run of n
 * characters if its body has one, and any number of them if its body has more. Steps back are where
 * something fails: a node costs its own as often as it is reached, which is the product of the ways
 * of those before it.
 *
 * <p>What known tokenizers do not have is refused: references, calls, conditions, absence, and
 * options that change how the expression itself is read.
 */
final class Expression {
  /** DeepSeek's has some 600. */
  private static final int LONGEST = 1 << 14;

  private static final int DEEPEST = 50;

  /** A class of more characters counts as one of several kinds. */
  private static final int WIDEST = 1 << 12;

  private static final int NO_END = Integer.MAX_VALUE;

  /** Oniguruma's own bound. */
  private static final int MOST_TIMES = 100_000;

  private static final Pattern INTERVAL =
      Pattern.compile("\\{(?:([0-9]+)(?:(,)([0-9]*))?|,([0-9]+))}");
  private static final Pattern OPTIONS = Pattern.compile("\\(\\?([imWDSP-]{1,12})([:)])");
  private static final Pattern NAMED = Pattern.compile("\\(\\?<[A-Za-z_][A-Za-z0-9_]{0,63}>");
  private static final Pattern PROPERTY = Pattern.compile("\\{[A-Za-z0-9_ &=:^-]{1,64}}");
  private static final Pattern HEX =
      Pattern.compile("x\\{[0-9A-Fa-f]{1,8}}|x[0-9A-Fa-f]{1,2}|u[0-9A-Fa-f]{4}");

  /** What kind of characters a run has. */
  enum Letters {
    SPACE("white-space characters"),
    LETTERS("letters"),
    DIGITS("digits"),
    OTHERS("punctuation marks or other symbols"),
    MIXED("characters");

    private final String words;

    Letters(String words) {
      this.words = words;
    }

    String words() {
      return words;
    }

    static Letters of(int c) {
      if (Strings.isSpace(c) || Character.isWhitespace(c) || Character.isSpaceChar(c)) {
        return SPACE;
      }
      return switch (Character.getType(c)) {
        case Character.UPPERCASE_LETTER,
            Character.LOWERCASE_LETTER,
            Character.TITLECASE_LETTER,
            Character.MODIFIER_LETTER,
            Character.OTHER_LETTER,
            Character.NON_SPACING_MARK,
            Character.COMBINING_SPACING_MARK,
            Character.ENCLOSING_MARK ->
            LETTERS;
        case Character.DECIMAL_DIGIT_NUMBER, Character.LETTER_NUMBER, Character.OTHER_NUMBER ->
            DIGITS;
        default -> OTHERS;
      };
    }

    /** Of a general category by the name it has in a property. */
    static Letters ofProperty(String name) {
      return switch (name.toLowerCase(Locale.ROOT)) {
        case "l", "lu", "ll", "lt", "lm", "lo", "m", "mn", "mc", "me" -> LETTERS;
        case "n", "nd", "nl", "no" -> DIGITS;
        case "p", "pc", "pd", "ps", "pe", "pi", "pf", "po", "s", "sm", "sc", "sk", "so" -> OTHERS;
        case "z", "zs", "zl", "zp", "space" -> SPACE;
        default -> MIXED;
      };
    }

    Letters and(Letters other) {
      return this == other ? this : MIXED;
    }
  }

  private sealed interface Node {
    /** The nodes that it is made of. */
    default List<Node> inner() {
      return List.of();
    }
  }

  /** One character. */
  private record One(Letters letters) implements Node {}

  /** A place between characters. */
  private record Place() implements Node {}

  private record Look(Node body, boolean behind) implements Node {
    @Override
    public List<Node> inner() {
      return List.of(body);
    }
  }

  private record Row(List<Node> inner) implements Node {}

  private record Choice(List<Node> inner) implements Node {}

  /** What is in it is matched once, whatever follows. */
  private record Atomic(Node body) implements Node {
    @Override
    public List<Node> inner() {
      return List.of(body);
    }
  }

  private record Repeat(Node body, int least, int most) implements Node {
    @Override
    public List<Node> inner() {
      return List.of(body);
    }
  }

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

  private final Node root;

  private Expression(Node root) {
    this.root = root;
  }

  /**
   * Reads an expression.
   *
   * @throws IllegalArgumentException that says what is wrong, as the rest of a sentence about it
   */
  static Expression parse(String text) {
    if (text.length() > LONGEST) {
      throw new IllegalArgumentException("has more than " + LONGEST + " characters");
    }
    Reader reader = new Reader(text);
    Node root = reader.choice();
    if (reader.at < text.length()) {
      throw reader.unknown();
    }
    return new Expression(root);
  }

  /** How often a match may step back on a run of so many characters, at most. */
  double steps(int characters) {
    return steps(root, false, characters);
  }

  /** Whether it steps back over characters of several kinds. */
  boolean mixes() {
    return mixes(root, false);
  }

  /** Whether it may match nothing. */
  boolean matchesNothing() {
    return isEmpty(root);
  }

  private static boolean isEmpty(Node node) {
    if (node instanceof One) {
      return false;
    }
    if (node instanceof Row row) {
      return row.inner().stream().allMatch(Expression::isEmpty);
    }
    if (node instanceof Choice choice) {
      return choice.inner().stream().anyMatch(Expression::isEmpty);
    }
    if (node instanceof Atomic atomic) {
      return isEmpty(atomic.body());
    }
    return !(node instanceof Repeat repeat) || repeat.least() == 0 || isEmpty(repeat.body());
  }

  private static boolean canFail(Node node) {
    if (node instanceof Row row) {
      return row.inner().stream().anyMatch(Expression::canFail);
    }
    if (node instanceof Choice choice) {
      return choice.inner().stream().allMatch(Expression::canFail);
    }
    if (node instanceof Atomic atomic) {
      return canFail(atomic.body());
    }
    return !(node instanceof Repeat repeat) || (repeat.least() > 0 && canFail(repeat.body()));
  }

  /** Of each node of a row, whether what follows it may fail. */
  private static boolean[] failing(List<Node> nodes, boolean fails) {
    boolean[] after = new boolean[nodes.size()];
    boolean next = fails;
    for (int i = nodes.size() - 1; i >= 0; i--) {
      after[i] = next;
      next |= canFail(nodes.get(i));
    }
    return after;
  }

  /** Whether what follows an iteration may fail. */
  private static boolean failsWithin(Repeat repeat, boolean fails) {
    return fails || repeat.least() > 1;
  }

  private static double ways(Node node, boolean fails, double n) {
    if (!fails) {
      return 1;
    }
    if (node instanceof Row row) {
      double product = 1;
      for (Node each : row.inner()) {
        product *= ways(each, true, n);
      }
      return product;
    }
    if (node instanceof Choice choice) {
      return choice.inner().stream().mapToDouble(each -> ways(each, true, n)).sum();
    }
    if (!(node instanceof Repeat repeat)) {
      return 1;
    }
    double each = ways(repeat.body(), true, n);
    if (repeat.most() == NO_END) {
      return each == 1 ? n : Double.POSITIVE_INFINITY;
    }
    return each == 1
        ? repeat.most() - repeat.least() + 1.0
        : powers(each, repeat.least(), repeat.most());
  }

  /** The sum of the powers of what is greater than one. */
  private static double powers(double base, int from, int to) {
    double sum = 0;
    for (int i = from; i <= to && sum < Double.MAX_VALUE; i++) {
      sum += Math.pow(base, i);
    }
    return sum;
  }

  private static double steps(Node node, boolean fails, double n) {
    if (node instanceof One || node instanceof Place) {
      return 1;
    }
    if (node instanceof Look look) {
      return look.behind() && hasNoEnd(look.body())
          ? Double.POSITIVE_INFINITY
          : 1 + steps(look.body(), false, n);
    }
    if (node instanceof Row row) {
      boolean[] after = failing(row.inner(), fails);
      double reached = 1;
      double sum = 0;
      for (int i = 0; i < after.length; i++) {
        Node each = row.inner().get(i);
        sum += reached * steps(each, after[i], n);
        reached = after[i] ? reached * ways(each, true, n) : 1;
      }
      return sum;
    }
    if (node instanceof Choice choice) {
      return choice.inner().stream().mapToDouble(each -> steps(each, fails, n)).sum();
    }
    if (node instanceof Atomic atomic) {
      return steps(atomic.body(), false, n);
    }
    Repeat repeat = (Repeat) node;
    boolean within = failsWithin(repeat, fails);
    double once = steps(repeat.body(), within, n);
    if (isPlain(repeat.body())) {
      return once; // only its last iteration fails
    }
    double each = ways(repeat.body(), within, n);
    double times = repeat.most() == NO_END ? n : repeat.most();
    if (each == 1) {
      return times * once;
    }
    return repeat.most() == NO_END
        ? Double.POSITIVE_INFINITY
        : once * powers(each, 0, repeat.most() - 1);
  }

  /** Whether a node is a number of characters, and nothing to choose. */
  private static boolean isPlain(Node node) {
    if (node instanceof Row row) {
      return row.inner().stream().allMatch(Expression::isPlain);
    }
    return node instanceof One
        || (node instanceof Repeat repeat
            && repeat.least() == repeat.most()
            && isPlain(repeat.body()));
  }

  private static boolean hasNoEnd(Node node) {
    return (node instanceof Repeat repeat && repeat.most() == NO_END)
        || node.inner().stream().anyMatch(Expression::hasNoEnd);
  }

  private static boolean mixes(Node node, boolean fails) {
    if (node instanceof Row row) {
      boolean[] after = failing(row.inner(), fails);
      for (int i = 0; i < after.length; i++) {
        if (mixes(row.inner().get(i), after[i])) {
          return true;
        }
      }
      return false;
    }
    if (node instanceof Choice choice) {
      return choice.inner().stream().anyMatch(each -> mixes(each, fails));
    }
    if (node instanceof Atomic atomic) {
      return mixes(atomic.body(), false);
    }
    if (node instanceof Look look) {
      return mixes(look.body(), false);
    }
    if (!(node instanceof Repeat repeat)) {
      return false;
    }
    boolean open = repeat.most() == NO_END;
    // A body that is not plain fails in each of its iterations.
    return (open && (fails || !isPlain(repeat.body())) && letters(repeat.body()) == Letters.MIXED)
        || mixes(repeat.body(), failsWithin(repeat, fails));
  }

  /** Which letters a run that a node matches has. */
  private static Letters letters(Node node) {
    if (node instanceof One one) {
      return one.letters();
    }
    List<Node> inner = node instanceof Look ? List.of() : node.inner();
    return inner.stream().map(Expression::letters).reduce(Letters::and).orElse(Letters.MIXED);
  }

  /** Recursive descent. */
  private static final class Reader {
    private final String text;
    private int at;
    private int depth;

    Reader(String text) {
      this.text = text;
    }

    IllegalArgumentException unknown() {
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

    Node choice() {
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
      boolean range =
          sees("-") && at + 1 < text.length() && "]\\[".indexOf(text.charAt(at + 1)) < 0;
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
}
