package dev.whence.attribution.method;

/**
 * Which method gives the scores, and its dials.
 *
 * @param name see {@link AttributionMethod#of}
 * @param keepParagraphs K of the methods that score paragraphs first: those whose sources are
 *     scored
 * @param heal w of the methods that splice: tokens after a removed source that are recomputed
 * @param exactTop m of the cascade: sources that exact LOO scores again; k of proxy pruning
 * @param masks ablated prompts of ContextCite
 * @param seed of what is drawn: ContextCite's masks
 * @param ofProxy method by which a proxy scores
 */
public record MethodOptions(
    String name, int keepParagraphs, int heal, int exactTop, int masks, long seed, String ofProxy) {
  /** Exact LOO; K = 3, w = 16, m = 6, 64 masks. */
  public static final MethodOptions DEFAULT = of(LeaveOneOut.EXACT);

  public MethodOptions {
    atLeast(1, "keepParagraphs", keepParagraphs);
    atLeast(0, "heal", heal);
    atLeast(1, "exactTop", exactTop);
    atLeast(2, "masks", masks);
  }

  private static void atLeast(int least, String what, int value) {
    if (value < least) {
      throw new IllegalArgumentException(
          what + " is " + value + ", but must be " + least + " or more");
    }
  }

  /** A method with the dials of {@link #DEFAULT}. */
  public static MethodOptions of(String name) {
    return new MethodOptions(name, 3, 16, 6, 64, 0, LeaveOneOut.EXACT);
  }

  public MethodOptions withKeepParagraphs(int paragraphs) {
    return new MethodOptions(name, paragraphs, heal, exactTop, masks, seed, ofProxy);
  }

  public MethodOptions withHeal(int tokens) {
    return new MethodOptions(name, keepParagraphs, tokens, exactTop, masks, seed, ofProxy);
  }

  public MethodOptions withExactTop(int sources) {
    return new MethodOptions(name, keepParagraphs, heal, sources, masks, seed, ofProxy);
  }

  public MethodOptions withMasks(int prompts, long otherSeed) {
    return new MethodOptions(name, keepParagraphs, heal, exactTop, prompts, otherSeed, ofProxy);
  }

  public MethodOptions withOfProxy(String method) {
    return new MethodOptions(name, keepParagraphs, heal, exactTop, masks, seed, method);
  }

  /** The proxy's method, with the same dials. */
  public MethodOptions proxy() {
    return new MethodOptions(ofProxy, keepParagraphs, heal, exactTop, masks, seed, ofProxy);
  }
}
