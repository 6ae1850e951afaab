package dev.whence.attribution.source;

import dev.whence.conversation.Span;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * A regular expression that finds the context inside a flattened prompt: every match of its one
 * group is attributable. The dot matches line breaks too, since contexts have many lines.
 *
 * <p>Patterns come from operators and prompts from anyone, so matching is bounded: a pattern that
 * backtracks without end on some prompt stops after a number of steps proportional to the prompt's
 * length, and that response is unsupported instead of the process stuck.
 */
public final class ContextPattern {
  /** Characters that a search may look at, beside {@link #STEPS_PER_CHARACTER} for each. */
  private static final long STEPS = 1_000_000;

  private static final long STEPS_PER_CHARACTER = 200;

  private final Pattern pattern;

  /**
   * @throws IllegalArgumentException if the expression is not one, or has not exactly one group
   */
  public ContextPattern(String expression) {
    try {
      pattern = Pattern.compile(expression, Pattern.DOTALL);
    } catch (PatternSyntaxException e) {
      throw new IllegalArgumentException(
          "the context pattern is not a regular expression: "
              + e.getDescription()
              + " near index "
              + e.getIndex(),
          e);
    }
    int groups = pattern.matcher("").groupCount();
    if (groups != 1) {
      throw new IllegalArgumentException(
          "the context pattern has "
              + groups
              + " groups, but exactly one must hold the context; write other groups as (?:...)");
    }
  }

  /** How often the texts of one prompt may be read, all together. */
  static final class Steps {
    private long left = STEPS;

    /** Each text adds to it by its length, so many short ones get no more than one as long. */
    private void add(String text) {
      left += STEPS_PER_CHARACTER * text.length();
    }

    private void take() {
      if (--left < 0) {
        throw new TooManySteps();
      }
    }
  }

  /** The matches of the group in a text that stands alone. */
  public List<Span> find(String text) throws TooSlowException {
    return find(text, new Steps());
  }

  /**
   * The matches of the group, in order; empty ones are left out, and those that begin within the
   * one before, as a group that looks ahead may.
   *
   * @param steps of the prompt that the text is a part of
   */
  List<Span> find(String text, Steps steps) throws TooSlowException {
    List<Span> found = new ArrayList<>();
    steps.add(text);
    try {
      Matcher matcher = pattern.matcher(new BoundedText(text, steps));
      int end = 0;
      while (matcher.find()) {
        if (matcher.start(1) >= end && matcher.end(1) > matcher.start(1)) {
          found.add(new Span(matcher.start(1), matcher.end(1)));
          end = matcher.end(1);
        }
      }
    } catch (TooManySteps | StackOverflowError e) {
      throw new TooSlowException(
          "the context pattern backtracks too much on a text of " + text.length() + " characters",
          e);
    }
    return found;
  }

  /** A search was stopped. */
  public static final class TooSlowException extends Exception {
    private static final long serialVersionUID = 1L;

    TooSlowException(String message, Throwable cause) {
      super(message, cause);
    }
  }

  private static final class TooManySteps extends RuntimeException {
    private static final long serialVersionUID = 1L;

    TooManySteps() {
      super("too many steps", null, false, false);
    }
  }

  /**
   * A text that lets itself be read only so many times: the matcher reads it one char at a time.
   */
  private static final class BoundedText implements CharSequence {
    private final String text;
    private final Steps steps;

    BoundedText(String text, Steps steps) {
      this.text = text;
      this.steps = steps;
    }

    @Override
    public char charAt(int index) {
      steps.take();
      return text.charAt(index);
    }

    @Override
    public int length() {
      return text.length();
    }

    @Override
    public CharSequence subSequence(int start, int end) {
      return text.substring(start, end);
    }

    @Override
    public String toString() {
      return text;
    }
  }
}
