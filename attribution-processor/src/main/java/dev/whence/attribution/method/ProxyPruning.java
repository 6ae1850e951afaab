package dev.whence.attribution.method;

import dev.whence.attribution.method.ContextScores.SourceTau;
import dev.whence.attribution.source.Source;
import dev.whence.conversation.Span;
import dev.whence.engine.Scorer;
import dev.whence.engine.WorkEstimate;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * Proxy pruning (AttriBoT, Liu, Kandpal, Raffel, ICLR 2025): the proxy scores all sources, the
 * target does exact LOO of the top k in a prompt without the others.
 *
 * <pre>
 *   C' = C without the sources that are not among the proxy's k largest
 *   tau_i = L(C') - L(C' without s_i)
 * </pre>
 *
 * <p>Where the FAST role has scored before, its scores take the proxy's place, and it names the k.
 *
 * <p>Scores of the k are the target's, of a pruned context; the others keep the proxy's, never
 * relabelled. L(C) and groundedness are the target's on the full prompt. Where nothing is pruned,
 * since k is no less than the number of sources, C' is C: one reading of it, and exact scores.
 */
public final class ProxyPruning implements AttributionMethod {
  public static final String NAME = "proxy-pruning";

  private final int keep;

  /**
   * @param keep k, at least 1
   */
  public ProxyPruning(int keep) {
    this.keep = keep;
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public ContextScores score(Scorer scorer, ScoringTask task, Meter meter) {
    Prior prior = task.requirePrior();
    List<SourceTau> taus = new ArrayList<>(prior.taus(meter));
    taus.replaceAll(SourceTau::inexact);
    Set<Integer> kept = new TreeSet<>(prior.candidates(taus, keep));
    List<Span> removed = others(task, kept);
    ScoringTask pruned = task.pruned(removed, List.copyOf(kept));
    boolean whole = removed.isEmpty();
    Reuse exact = new Reuse.Prefix();
    ContextScores full;
    List<SourceTau> scored;
    int retokenized;
    try (TrunkReadings readings = new TrunkReadings(scorer, task, meter)) {
      full = readings.with(exact, whole ? TrunkReadings.cuts(pruned) : List.of(), NAME, exact);
      scored = full.sources();
      retokenized = readings.retokenized();
    }
    if (!whole) {
      try (TrunkReadings readings = new TrunkReadings(scorer, pruned, meter)) {
        scored = readings.taus(exact, TrunkReadings.cuts(pruned), NAME);
        retokenized += readings.retokenized();
      }
    }
    int next = 0;
    for (int source : kept) {
      SourceTau tau = scored.get(next++);
      taus.set(source, whole ? tau : tau.inPruned());
    }
    return full.withSources(taus, retokenized);
  }

  private static List<Span> others(ScoringTask task, Set<Integer> kept) {
    List<Span> others = new ArrayList<>();
    for (int i = 0; i < task.sources().size(); i++) {
      Source source = task.sources().get(i);
      if (!kept.contains(i) && !source.rendered().isEmpty()) {
        others.add(source.rendered());
      }
    }
    return others;
  }

  /**
   * {@inheritDoc}
   *
   * <p>Which sources stay is not known before: the first ones are counted.
   */
  @Override
  public WorkEstimate estimate(Scorer scorer, ScoringTask task) {
    Prior prior = task.requirePrior();
    Set<Integer> kept = new TreeSet<>(prior.expectedCandidates(keep));
    List<Span> removed = others(task, kept);
    ScoringTask pruned = task.pruned(removed, List.copyOf(kept));
    Reuse exact = new Reuse.Prefix();
    WorkEstimate ofPruned =
        TrunkReadings.estimate(scorer, pruned, exact, TrunkReadings.cuts(pruned));
    return TrunkReadings.trunkEstimate(scorer, task, exact)
        .plus(prior.estimate())
        .plus(
            removed.isEmpty()
                ? ofPruned
                : ofPruned.plus(scorer.estimate(pruned.length(), pruned.scored(), List.of())));
  }
}
