package dev.whence.attribution;

import dev.whence.attribution.method.MethodOptions;
import dev.whence.attribution.source.ContextPattern;

/**
 * How to attribute.
 *
 * @param method that scores, and its dials
 * @param granularity of the sources, where the caller gave no spans
 * @param maxCostSeconds estimated cost above which a cheaper method, then UNSUPPORTED is chosen; 0
 *     = no bound
 * @param attributableAll segments of unknown kind are attributable too, and questions and
 *     instructions of 1,000 characters or more; where there are none of these, and no segment that
 *     its caller made attributable, the questions are, and where there is no question either, the
 *     instructions
 * @param contextPattern regular expression with one group that finds the context inside a flattened
 *     prompt, or empty
 * @param overWindow what becomes of a prompt that is past the model's window
 */
public record AttributionOptions(
    MethodOptions method,
    Granularity granularity,
    double maxCostSeconds,
    boolean attributableAll,
    String contextPattern,
    OverWindow overWindow) {
  public static final AttributionOptions DEFAULT =
      new AttributionOptions(MethodOptions.DEFAULT, Granularity.SENTENCE, 0, false, "");

  public AttributionOptions {
    if (!(maxCostSeconds >= 0)) {
      throw new IllegalArgumentException(
          "the maximal cost is " + maxCostSeconds + " s, but must be 0 (no bound) or more");
    }
    if (!contextPattern.isEmpty()) {
      var unused = new ContextPattern(contextPattern);
    }
  }

  /** What is past the model's window is refused. */
  public AttributionOptions(
      MethodOptions method,
      Granularity granularity,
      double maxCostSeconds,
      boolean attributableAll,
      String contextPattern) {
    this(method, granularity, maxCostSeconds, attributableAll, contextPattern, OverWindow.REFUSE);
  }

  public AttributionOptions withOverWindow(OverWindow policy) {
    return new AttributionOptions(
        method, granularity, maxCostSeconds, attributableAll, contextPattern, policy);
  }
}
