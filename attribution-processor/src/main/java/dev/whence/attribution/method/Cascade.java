package dev.whence.attribution.method;

import dev.whence.attribution.method.ContextScores.SourceTau;
import dev.whence.conversation.Span;
import dev.whence.engine.Scorer;
import dev.whence.engine.WorkEstimate;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/**
 * Splice LOO of all sources, then exact LOO of the m with the largest scores, over the same trunk:
 * what matters is exact, the rest is close. It can be ended at any time after the splice: the
 * strongest are scored again first, and each source says whether it was; groups of near-duplicates
 * are scored as long as there is time. Trunk, splices and the reading without context are what a
 * result consists of, and run however late it is: a bound on the cost is for those.
 *
 * <p>Cost: T + n (w + q + r) + m T / 2 tokens, see {@link Splice}.
 */
public final class Cascade implements AttributionMethod {
  public static final String NAME = "cascade";

  /** With a deadline, so many are scored again before the clock is looked at. */
  private static final int AT_ONCE = 2;

  private final int heal;
  private final int exactTop;
  private final Duration deadline;

  /**
   * @param heal w of the splice
   * @param exactTop m
   */
  public Cascade(int heal, int exactTop) {
    this(heal, exactTop, Duration.ZERO);
  }

  /**
   * @param deadline counted from the begin of scoring; after it neither sources are scored again
   *     nor groups scored. Zero: none
   */
  public Cascade(int heal, int exactTop, Duration deadline) {
    this.heal = heal;
    this.exactTop = exactTop;
    this.deadline = deadline;
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public ContextScores score(Scorer scorer, ScoringTask task, Meter meter) {
    long begin = System.nanoTime();
    try (TrunkReadings readings = new TrunkReadings(scorer, task, meter)) {
      List<List<Span>> cuts = TrunkReadings.cuts(task);
      List<SourceTau> taus =
          new ArrayList<>(readings.taus(Splice.reuse(task, heal), cuts, Splice.NAME));
      Reuse exact = new Reuse.Prefix();
      List<Integer> again =
          SourceTau.top(taus, exactTop).stream().filter(i -> !taus.get(i).exact()).toList();
      if (deadline.isZero()) {
        return readings.with(
            exact,
            again.stream().map(cuts::get).toList(),
            LeaveOneOut.EXACT,
            rescored -> {
              replace(taus, again, rescored);
              return taus;
            },
            exact);
      }
      for (int from = 0; from < again.size(); from += AT_ONCE) {
        if (late(begin)) {
          meter.endedByDeadline();
          break;
        }
        List<Integer> next = again.subList(from, Math.min(again.size(), from + AT_ONCE));
        replace(
            taus,
            next,
            readings.taus(exact, next.stream().map(cuts::get).toList(), LeaveOneOut.EXACT));
      }
      return readings.withUntil(() -> late(begin), taus, exact);
    }
  }

  private static void replace(
      List<SourceTau> taus, List<Integer> places, List<SourceTau> rescored) {
    for (int i = 0; i < rescored.size(); i++) {
      taus.set(places.get(i), rescored.get(i));
    }
  }

  private boolean late(long begin) {
    return System.nanoTime() - begin >= deadline.toNanos();
  }

  /**
   * {@inheritDoc}
   *
   * <p>Which sources are scored again is not known before: the first ones, the dearest, are
   * counted.
   */
  @Override
  public WorkEstimate estimate(Scorer scorer, ScoringTask task) {
    List<List<Span>> cuts = TrunkReadings.cuts(task);
    List<List<Span>> dearest = cuts.subList(0, Math.min(exactTop, cuts.size()));
    return new Splice(heal)
        .estimate(scorer, task)
        .plus(TrunkReadings.estimate(scorer, task, new Reuse.Prefix(), dearest));
  }
}
