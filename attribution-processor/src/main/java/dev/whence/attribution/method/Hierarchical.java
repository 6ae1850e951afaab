package dev.whence.attribution.method;

import dev.whence.attribution.method.ContextScores.SourceTau;
import dev.whence.engine.Scorer;
import dev.whence.engine.WorkEstimate;
import java.util.List;

/**
 * Hierarchical attribution (AttriBoT, Liu, Kandpal, Raffel, ICLR 2025): exact LOO of paragraphs,
 * then exact LOO of the sources of the top K paragraphs in a prompt without the others.
 *
 * <pre>
 *   1. tau_P = L(C) - L(C without P) for every paragraph P
 *   2. C' = C without the paragraphs whose tau_P is not among the K largest
 *   3. tau_i = L(C') - L(C' without s_i) for every source of the paragraphs that stayed
 * </pre>
 *
 * Cost: about T + P T / 2 tokens for the paragraphs, then T' + n' T' / 2 for the n' sources of the
 * pruned prompt of T' tokens.
 *
 * <p>What a score is, is said with it. Sources of kept paragraphs: context "pruned", not exact. A
 * paragraph of a single source: its score of step 1 is that source's exact LOO on the full context,
 * and stays. Sources of dropped paragraphs: an equal share of tau_P, so that they add up to what
 * was measured; method {@link #SPREAD}, context "full", not exact: it says what the paragraph did,
 * not which of its sources did it. If no paragraph is dropped, C' is C and all scores are exact.
 */
public final class Hierarchical implements AttributionMethod {
  public static final String NAME = "hierarchical";

  /** Method of a score that is an equal share of its paragraph's. */
  public static final String SPREAD = "hierarchical-paragraph";

  private final int keepParagraphs;

  /**
   * @param keepParagraphs K, at least 1
   */
  public Hierarchical(int keepParagraphs) {
    if (keepParagraphs < 1) {
      throw new IllegalArgumentException(
          "keepParagraphs is " + keepParagraphs + ", but at least 1 paragraph must be kept");
    }
    this.keepParagraphs = keepParagraphs;
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public ContextScores score(Scorer scorer, ScoringTask task, Meter meter) {
    Paragraphs paragraphs = Paragraphs.of(task);
    SourceTau[] taus = new SourceTau[task.sources().size()];
    Reuse exact = new Reuse.Prefix();
    ContextScores scores;
    Paragraphs.Open open;
    boolean pruning;
    int retokenized;
    try (TrunkReadings readings = new TrunkReadings(scorer, task, meter)) {
      if (paragraphs.isSingle()) {
        return readings.with(exact, TrunkReadings.cuts(task), NAME, exact);
      }
      scores = readings.with(exact, paragraphs.cuts(), NAME, exact);
      open = paragraphs.divide(scores.sources(), keepParagraphs, SPREAD, taus);
      pruning = !open.others().isEmpty() && !open.sources().isEmpty();
      if (!pruning) {
        open.fill(taus, readings.taus(exact, open.cuts(task), NAME));
      }
      retokenized = readings.retokenized();
    }
    if (pruning) {
      ScoringTask pruned = task.pruned(open.others(), open.sources());
      try (TrunkReadings readings = new TrunkReadings(scorer, pruned, meter)) {
        List<SourceTau> inner = readings.taus(exact, TrunkReadings.cuts(pruned), NAME);
        open.fill(taus, inner.stream().map(SourceTau::inPruned).toList());
        retokenized += readings.retokenized();
      }
    }
    return scores.withSources(List.of(taus), retokenized);
  }

  /**
   * {@inheritDoc}
   *
   * <p>Which paragraphs stay is not known before the first step: the K dearest are counted.
   */
  @Override
  public WorkEstimate estimate(Scorer scorer, ScoringTask task) {
    Paragraphs paragraphs = Paragraphs.of(task);
    Reuse exact = new Reuse.Prefix();
    WorkEstimate trunk = TrunkReadings.trunkEstimate(scorer, task, exact);
    if (paragraphs.isSingle()) {
      return trunk.plus(TrunkReadings.estimate(scorer, task, exact, TrunkReadings.cuts(task)));
    }
    WorkEstimate first = trunk.plus(TrunkReadings.estimate(scorer, task, exact, paragraphs.cuts()));
    Paragraphs.Open open = paragraphs.dearest(keepParagraphs);
    if (open.others().isEmpty() || open.sources().isEmpty()) {
      return first.plus(TrunkReadings.estimate(scorer, task, exact, open.cuts(task)));
    }
    ScoringTask pruned = task.pruned(open.others(), open.sources());
    return first
        .plus(scorer.estimate(pruned.length(), pruned.scored(), List.of()))
        .plus(TrunkReadings.estimate(scorer, pruned, exact, TrunkReadings.cuts(pruned)));
  }
}
