package dev.whence.attribution.method;

import dev.whence.attribution.method.ContextScores.SourceTau;
import dev.whence.conversation.Span;
import dev.whence.engine.Scorer;
import dev.whence.engine.WorkEstimate;
import java.util.ArrayList;
import java.util.List;

/**
 * Splice LOO of all sources, then exact LOO of the m with the largest scores, over the same trunk:
 * what matters is exact, the rest is close.
 *
 * <p>Cost: T + n (w + q + r) + m T / 2 tokens, see {@link Splice}.
 */
public final class Cascade implements AttributionMethod {
  public static final String NAME = "cascade";

  private final int heal;
  private final int exactTop;

  /**
   * @param heal w of the splice
   * @param exactTop m
   */
  public Cascade(int heal, int exactTop) {
    this.heal = heal;
    this.exactTop = exactTop;
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public ContextScores score(Scorer scorer, ScoringTask task, Meter meter) {
    try (TrunkReadings readings = new TrunkReadings(scorer, task, meter)) {
      List<List<Span>> cuts = TrunkReadings.cuts(task);
      List<SourceTau> taus =
          new ArrayList<>(readings.taus(Splice.reuse(task, heal), cuts, Splice.NAME));
      Reuse exact = new Reuse.Prefix();
      List<Integer> again =
          SourceTau.top(taus, exactTop).stream().filter(i -> !taus.get(i).exact()).toList();
      List<SourceTau> rescored =
          readings.taus(exact, again.stream().map(cuts::get).toList(), LeaveOneOut.EXACT);
      for (int i = 0; i < rescored.size(); i++) {
        taus.set(again.get(i), rescored.get(i));
      }
      return readings.with(taus, exact);
    }
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
