package dev.whence.attribution.method;

import dev.whence.attribution.method.ContextScores.SourceTau;
import dev.whence.engine.Scorer;
import dev.whence.engine.WorkEstimate;
import java.util.List;

/**
 * Splice LOO of paragraphs, then of the sources of the top K paragraphs, over the same trunk. For
 * prompts with many sources and for long responses, where {@link Splice} spends n times question
 * and response.
 *
 * <p>Cost: T + (P + n_K) (w + q + r) tokens for P paragraphs, n_K sources in the K that are kept.
 *
 * <p>Sources of kept paragraphs are scored in the full context. Those of the others get an equal
 * share of their paragraph's score, which says what the paragraph did, not which of its sources
 * did; method {@link #SPREAD}. A paragraph of one source is scored once.
 */
public final class ParagraphSplice implements AttributionMethod {
  public static final String NAME = "paragraph-splice";

  /** Method of a score that is an equal share of its paragraph's. */
  public static final String SPREAD = "paragraph-splice-paragraph";

  private final int heal;
  private final int keepParagraphs;

  /**
   * @param heal w of the splice
   * @param keepParagraphs K
   */
  public ParagraphSplice(int heal, int keepParagraphs) {
    this.heal = heal;
    this.keepParagraphs = keepParagraphs;
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public ContextScores score(Scorer scorer, ScoringTask task, Meter meter) {
    Paragraphs paragraphs = Paragraphs.of(task);
    if (paragraphs.isSingle()) {
      return new Splice(heal).score(scorer, task, meter);
    }
    Reuse splice = Splice.reuse(task, heal);
    SourceTau[] taus = new SourceTau[task.sources().size()];
    try (TrunkReadings readings = new TrunkReadings(scorer, task, meter)) {
      List<SourceTau> whole = readings.taus(splice, paragraphs.cuts(), NAME);
      Paragraphs.Open open = paragraphs.divide(whole, keepParagraphs, SPREAD, taus);
      return readings.with(
          splice,
          open.cuts(task),
          Splice.NAME,
          scored -> {
            open.fill(taus, scored);
            return List.of(taus);
          },
          new Reuse.Prefix());
    }
  }

  /**
   * {@inheritDoc}
   *
   * <p>Which paragraphs stay is not known before: the K dearest are counted.
   */
  @Override
  public WorkEstimate estimate(Scorer scorer, ScoringTask task) {
    Paragraphs paragraphs = Paragraphs.of(task);
    if (paragraphs.isSingle()) {
      return new Splice(heal).estimate(scorer, task);
    }
    Reuse splice = Splice.reuse(task, heal);
    return TrunkReadings.trunkEstimate(scorer, task, new Reuse.Prefix())
        .plus(TrunkReadings.estimate(scorer, task, splice, paragraphs.cuts()))
        .plus(
            TrunkReadings.estimate(
                scorer, task, splice, paragraphs.dearest(keepParagraphs).cuts(task)));
  }
}
