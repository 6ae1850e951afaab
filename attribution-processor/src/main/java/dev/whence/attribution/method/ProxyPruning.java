package dev.whence.attribution.method;

import dev.whence.attribution.method.ContextScores.SourceTau;
import dev.whence.attribution.source.Source;
import dev.whence.conversation.Span;
import dev.whence.engine.Scorer;
import dev.whence.engine.WorkEstimate;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.BooleanSupplier;

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

  /** Sources between two looks at the clock. */
  private static final int AT_ONCE = 2;

  private final int keep;
  private final Duration deadline;

  /**
   * @param keep k, at least 1
   */
  public ProxyPruning(int keep) {
    this(keep, Duration.ZERO);
  }

  /**
   * @param deadline counted from the begin of scoring; after it neither candidates are scored again
   *     nor groups scored. Zero: none
   */
  public ProxyPruning(int keep, Duration deadline) {
    this.keep = keep;
    this.deadline = deadline;
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public ContextScores score(Scorer scorer, ScoringTask task, Meter meter) {
    long begin = System.nanoTime();
    Prior prior = task.requirePrior();
    List<SourceTau> taus = new ArrayList<>(prior.taus(meter));
    taus.replaceAll(SourceTau::inexact);
    Set<Integer> kept = new TreeSet<>(prior.candidates(taus, keep));
    List<Span> removed = others(task, kept);
    ScoringTask pruned = task.pruned(removed, List.copyOf(kept));
    boolean whole = removed.isEmpty();
    if (!deadline.isZero()) {
      Pruned asked = new Pruned(pruned, List.copyOf(kept), whole);
      return until(begin, scorer, task, asked, taus, meter);
    }
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

  /**
   * What the target looks at.
   *
   * @param task the prompt with the candidates only
   * @param sources which of the prompt's sources those are, ascending
   * @param whole whether that is all of the prompt
   */
  private record Pruned(ScoringTask task, List<Integer> sources, boolean whole) {}

  /** Candidates first, the strongest of them before all, then the rest: as far as time allows. */
  private ContextScores until(
      long begin,
      Scorer scorer,
      ScoringTask task,
      Pruned pruned,
      List<SourceTau> taus,
      Meter meter) {
    Reuse exact = new Reuse.Prefix();
    BooleanSupplier late = () -> System.nanoTime() - begin >= deadline.toNanos();
    int retokenized = 0;
    if (!pruned.whole()) {
      try (TrunkReadings readings = new TrunkReadings(scorer, pruned.task(), meter)) {
        rescore(readings, pruned, taus, late, meter)
            .forEach((i, tau) -> taus.set(i, tau.inPruned()));
        retokenized = readings.retokenized();
      }
    }
    try (TrunkReadings readings = new TrunkReadings(scorer, task, meter)) {
      if (pruned.whole()) {
        rescore(readings, pruned, taus, late, meter).forEach(taus::set);
      }
      ContextScores scores = readings.withUntil(late, taus, exact);
      return scores.withSources(taus, retokenized + readings.retokenized());
    }
  }

  /** The scores of candidates, by source. */
  private static Map<Integer, SourceTau> rescore(
      TrunkReadings readings,
      Pruned pruned,
      List<SourceTau> taus,
      BooleanSupplier late,
      Meter meter) {
    List<List<Span>> cuts = TrunkReadings.cuts(pruned.task());
    List<Integer> order = new ArrayList<>(SourceTau.top(taus, taus.size()));
    order.retainAll(Set.copyOf(pruned.sources()));
    Map<Integer, SourceTau> scored = new HashMap<>();
    for (int from = 0; from < order.size(); from += AT_ONCE) {
      if (late.getAsBoolean()) {
        meter.endedByDeadline();
        break;
      }
      List<Integer> next = order.subList(from, Math.min(order.size(), from + AT_ONCE));
      List<SourceTau> again =
          readings.taus(
              new Reuse.Prefix(),
              next.stream().map(i -> cuts.get(pruned.sources().indexOf(i))).toList(),
              NAME);
      for (int i = 0; i < again.size(); i++) {
        scored.put(next.get(i), again.get(i));
      }
    }
    return scored;
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
