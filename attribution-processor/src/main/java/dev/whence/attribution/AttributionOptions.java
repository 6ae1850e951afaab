package dev.whence.attribution;

/**
 * How to attribute.
 *
 * @param method "exact-loo", "naive-loo" or "hierarchical"
 * @param granularity of the sources, where the caller gave no spans
 * @param keepParagraphs K of the hierarchical method: paragraphs whose sentences are scored
 * @param maxCostSeconds estimated cost above which a cheaper method, then UNSUPPORTED is chosen; 0
 *     = no bound
 * @param attributableAll segments of unknown kind are attributable too; in a prompt that has none,
 *     and no segment that its caller made attributable, the questions are, and where there is no
 *     question either, the instructions
 * @param contextPattern regular expression with one group that finds the context inside a flattened
 *     prompt, or empty
 */
public record AttributionOptions(
    String method,
    Granularity granularity,
    int keepParagraphs,
    double maxCostSeconds,
    boolean attributableAll,
    String contextPattern) {
  public static final AttributionOptions DEFAULT =
      new AttributionOptions("exact-loo", Granularity.SENTENCE, 3, 0, false, "");
}
