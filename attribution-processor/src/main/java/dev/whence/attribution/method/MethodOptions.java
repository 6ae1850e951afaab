package dev.whence.attribution.method;

import java.time.Duration;

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
 * @param deadline after which the cascade scores no source again; zero: none
 */
public record MethodOptions(
    String name,
    int keepParagraphs,
    int heal,
    int exactTop,
    int masks,
    long seed,
    String ofProxy,
    Duration deadline) {
  /** Exact LOO; K = 3, w = 16, m = 6, 64 masks. */
  public static final MethodOptions DEFAULT = of(LeaveOneOut.EXACT);

  /** More of them is a mistake: paragraphs, sources scored exactly, ablated prompts. */
  public static final int MOST = 10_000;

  /** No model reads more tokens. */
  public static final int MOST_HEALED = 1 << 20;

  public MethodOptions {
    atLeast(1, "keepParagraphs", keepParagraphs);
    atLeast(0, "heal", heal);
    atLeast(1, "exactTop", exactTop);
    atLeast(2, "masks", masks);
    if (deadline.isNegative()) {
      throw new IllegalArgumentException("the deadline is " + deadline + ", but must lie ahead");
    }
    if (!deadline.isZero() && !name.equals(Cascade.NAME)) {
      throw new IllegalArgumentException(
          "only the method "
              + Cascade.NAME
              + " can be ended by a deadline, '"
              + name
              + "' can not");
    }
  }

  private static void atLeast(int least, String what, int value) {
    if (value < least) {
      throw new IllegalArgumentException(
          what + " is " + value + ", but must be " + least + " or more");
    }
  }

  /** A method with the dials of {@link #DEFAULT}. */
  public static MethodOptions of(String name) {
    return new MethodOptions(name, 3, 16, 6, 64, 0, LeaveOneOut.EXACT, Duration.ZERO);
  }

  public MethodOptions withKeepParagraphs(int paragraphs) {
    return new MethodOptions(name, paragraphs, heal, exactTop, masks, seed, ofProxy, deadline);
  }

  public MethodOptions withHeal(int tokens) {
    return new MethodOptions(
        name, keepParagraphs, tokens, exactTop, masks, seed, ofProxy, deadline);
  }

  public MethodOptions withExactTop(int sources) {
    return new MethodOptions(name, keepParagraphs, heal, sources, masks, seed, ofProxy, deadline);
  }

  public MethodOptions withMasks(int prompts, long otherSeed) {
    return new MethodOptions(
        name, keepParagraphs, heal, exactTop, prompts, otherSeed, ofProxy, deadline);
  }

  public MethodOptions withOfProxy(String method) {
    return new MethodOptions(name, keepParagraphs, heal, exactTop, masks, seed, method, deadline);
  }

  public MethodOptions withDeadline(Duration time) {
    return new MethodOptions(name, keepParagraphs, heal, exactTop, masks, seed, ofProxy, time);
  }

  /** The proxy's method, with the same dials. */
  public MethodOptions proxy() {
    return new MethodOptions(
        ofProxy, keepParagraphs, heal, exactTop, masks, seed, ofProxy, deadline);
  }
}
