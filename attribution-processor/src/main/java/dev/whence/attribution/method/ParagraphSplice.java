package dev.whence.attribution.method;

import dev.whence.attribution.method.ContextScores.SourceTau;
import dev.whence.conversation.Span;
import dev.whence.engine.Scorer;
import dev.whence.engine.WorkEstimate;
import java.util.ArrayList;
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
    Reuse splice = Splice.reuse(task, heal);
    try (TrunkReadings readings = new TrunkReadings(scorer, task, meter)) {
      List<SourceTau> whole = readings.taus(splice, paragraphs.cuts(), NAME);
      boolean[] kept =
          paragraphs.top(whole.stream().map(SourceTau::byStatement).toList(), keepParagraphs);
      List<Integer> open = new ArrayList<>();
      SourceTau[] taus = new SourceTau[task.sources().size()];
      for (int p = 0; p < kept.length; p++) {
        List<Integer> sources = paragraphs.sources(p);
        if (sources.size() == 1) {
          taus[sources.get(0)] = whole.get(p);
        } else if (kept[p]) {
          open.addAll(sources);
        } else {
          SourceTau share = whole.get(p).share(sources.size(), SPREAD);
          sources.forEach(source -> taus[source] = share);
        }
      }
      List<List<Span>> cuts = TrunkReadings.cuts(task);
      List<SourceTau> scored =
          readings.taus(splice, open.stream().map(cuts::get).toList(), Splice.NAME);
      for (int i = 0; i < scored.size(); i++) {
        taus[open.get(i)] = scored.get(i);
      }
      return readings.with(List.of(taus), new Reuse.Prefix());
    }
  }

  /**
   * {@inheritDoc}
   *
   * <p>Which paragraphs stay is not known before: the K with most sources are counted.
   */
  @Override
  public WorkEstimate estimate(Scorer scorer, ScoringTask task) {
    Paragraphs paragraphs = Paragraphs.of(task);
    List<List<Span>> cuts = new ArrayList<>(paragraphs.cuts());
    List<List<Span>> ofSources = TrunkReadings.cuts(task);
    boolean[] dearest = paragraphs.dearest(keepParagraphs);
    for (int p = 0; p < dearest.length; p++) {
      if (dearest[p] && paragraphs.sources(p).size() > 1) {
        paragraphs.sources(p).forEach(source -> cuts.add(ofSources.get(source)));
      }
    }
    return TrunkReadings.trunkEstimate(scorer, task, new Reuse.Prefix())
        .plus(TrunkReadings.estimate(scorer, task, Splice.reuse(task, heal), cuts));
  }
}
