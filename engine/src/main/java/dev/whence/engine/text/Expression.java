package dev.whence.engine.text;

import dev.whence.engine.text.jinja.Strings;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;

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
  /** Of a repetition that goes on for as long as it matches. */
  static final int NO_END = Integer.MAX_VALUE;

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

  /**
   * A part of an expression. Each says things of itself on a run of n characters; {@code fails}:
   * what follows it may fail.
   */
  sealed interface Node {
    /** The nodes that it is made of. */
    default List<Node> inner() {
      return List.of();
    }

    boolean matchesNothing();

    default boolean canFail() {
      return true;
    }

    /** In how many ways it is left where what follows may fail. */
    default double ways(double n) {
      return 1;
    }

    double steps(boolean fails, double n);

    /** Whether it is a number of characters, and nothing to choose. */
    default boolean isPlain() {
      return false;
    }

    default boolean hasNoEnd() {
      return inner().stream().anyMatch(Node::hasNoEnd);
    }

    /** Whether it steps back over characters of several kinds. */
    boolean mixes(boolean fails);

    /** Which letters a run that it matches has. */
    default Letters letters() {
      return inner().stream().map(Node::letters).reduce(Letters::and).orElse(Letters.MIXED);
    }
  }

  /** One character. */
  record One(Letters letters) implements Node {
    @Override
    public boolean matchesNothing() {
      return false;
    }

    @Override
    public double steps(boolean fails, double n) {
      return 1;
    }

    @Override
    public boolean isPlain() {
      return true;
    }

    @Override
    public boolean mixes(boolean fails) {
      return false;
    }
  }

  /** A place between characters. */
  record Place() implements Node {
    @Override
    public boolean matchesNothing() {
      return true;
    }

    @Override
    public double steps(boolean fails, double n) {
      return 1;
    }

    @Override
    public boolean mixes(boolean fails) {
      return false;
    }
  }

  record Look(Node body, boolean behind) implements Node {
    @Override
    public List<Node> inner() {
      return List.of(body);
    }

    @Override
    public boolean matchesNothing() {
      return true;
    }

    @Override
    public double steps(boolean fails, double n) {
      return behind && body.hasNoEnd() ? Double.POSITIVE_INFINITY : 1 + body.steps(false, n);
    }

    @Override
    public boolean mixes(boolean fails) {
      return body.mixes(false);
    }

    @Override
    public Letters letters() {
      return Letters.MIXED;
    }
  }

  record Row(List<Node> inner) implements Node {
    @Override
    public boolean matchesNothing() {
      return inner.stream().allMatch(Node::matchesNothing);
    }

    @Override
    public boolean canFail() {
      return inner.stream().anyMatch(Node::canFail);
    }

    @Override
    public double ways(double n) {
      return inner.stream().mapToDouble(each -> each.ways(n)).reduce(1, (a, b) -> a * b);
    }

    @Override
    public double steps(boolean fails, double n) {
      boolean[] after = failing(fails);
      double reached = 1;
      double sum = 0;
      for (int i = 0; i < after.length; i++) {
        sum += reached * inner.get(i).steps(after[i], n);
        reached = after[i] ? reached * inner.get(i).ways(n) : 1;
      }
      return sum;
    }

    @Override
    public boolean isPlain() {
      return inner.stream().allMatch(Node::isPlain);
    }

    @Override
    public boolean mixes(boolean fails) {
      boolean[] after = failing(fails);
      return IntStream.range(0, after.length).anyMatch(i -> inner.get(i).mixes(after[i]));
    }

    /** Of each node, whether what follows it may fail. */
    private boolean[] failing(boolean fails) {
      boolean[] after = new boolean[inner.size()];
      boolean next = fails;
      for (int i = after.length - 1; i >= 0; i--) {
        after[i] = next;
        next |= inner.get(i).canFail();
      }
      return after;
    }
  }

  record Choice(List<Node> inner) implements Node {
    @Override
    public boolean matchesNothing() {
      return inner.stream().anyMatch(Node::matchesNothing);
    }

    @Override
    public boolean canFail() {
      return inner.stream().allMatch(Node::canFail);
    }

    @Override
    public double ways(double n) {
      return inner.stream().mapToDouble(each -> each.ways(n)).sum();
    }

    @Override
    public double steps(boolean fails, double n) {
      return inner.stream().mapToDouble(each -> each.steps(fails, n)).sum();
    }

    @Override
    public boolean mixes(boolean fails) {
      return inner.stream().anyMatch(each -> each.mixes(fails));
    }
  }

  /** What is in it is matched once, whatever follows. */
  record Atomic(Node body) implements Node {
    @Override
    public List<Node> inner() {
      return List.of(body);
    }

    @Override
    public boolean matchesNothing() {
      return body.matchesNothing();
    }

    @Override
    public boolean canFail() {
      return body.canFail();
    }

    @Override
    public double steps(boolean fails, double n) {
      return body.steps(false, n);
    }

    @Override
    public boolean mixes(boolean fails) {
      return body.mixes(false);
    }
  }

  record Repeat(Node body, int least, int most) implements Node {
    @Override
    public List<Node> inner() {
      return List.of(body);
    }

    @Override
    public boolean matchesNothing() {
      return least == 0 || body.matchesNothing();
    }

    @Override
    public boolean canFail() {
      return least > 0 && body.canFail();
    }

    @Override
    public double ways(double n) {
      double each = body.ways(n);
      if (most == NO_END) {
        return each == 1 ? n : Double.POSITIVE_INFINITY;
      }
      return each == 1 ? most - least + 1.0 : powers(each, least, most);
    }

    @Override
    public double steps(boolean fails, double n) {
      double once = body.steps(failsWithin(fails), n);
      if (body.isPlain()) {
        return once; // only its last iteration fails
      }
      double each = failsWithin(fails) ? body.ways(n) : 1;
      if (each == 1) {
        return (most == NO_END ? n : most) * once;
      }
      return most == NO_END ? Double.POSITIVE_INFINITY : once * powers(each, 0, most - 1);
    }

    @Override
    public boolean isPlain() {
      return least == most && body.isPlain();
    }

    @Override
    public boolean hasNoEnd() {
      return most == NO_END || body.hasNoEnd();
    }

    @Override
    public boolean mixes(boolean fails) {
      // A body that is not plain fails in each of its iterations.
      boolean stepsBack = most == NO_END && (fails || !body.isPlain());
      return (stepsBack && body.letters() == Letters.MIXED) || body.mixes(failsWithin(fails));
    }

    /** Whether what follows an iteration may fail. */
    private boolean failsWithin(boolean fails) {
      return fails || least > 1;
    }

    /** The sum of the powers of what is greater than one. */
    private static double powers(double base, int from, int to) {
      double sum = 0;
      for (int i = from; i <= to && sum < Double.MAX_VALUE; i++) {
        sum += Math.pow(base, i);
      }
      return sum;
    }
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
    return new Expression(new ExpressionReader(text).read());
  }

  /** How often a match may step back on a run of so many characters, at most. */
  double steps(int characters) {
    return root.steps(false, characters);
  }

  /** Whether it steps back over characters of several kinds. */
  boolean mixes() {
    return root.mixes(false);
  }

  /** Whether it may match nothing. */
  boolean matchesNothing() {
    return root.matchesNothing();
  }
}
