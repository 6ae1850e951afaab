package dev.whence.attribution.method;

import dev.whence.engine.Scorer;
import dev.whence.engine.WorkEstimate;

/**
 * Leave-one-out attribution (LOO).
 *
 * <pre>
 *   tau_i = L(C) - L(C without s_i),   L(C) = sum over t of log p(r_t | C, r_&lt;t)   [nats]
 * </pre>
 *
 * Positive: the source made the response more likely. Split by statement, tau_ij sums the terms of
 * statement j only, so rows sum to tau_i.
 *
 * <p>Two ways to compute the same number, after AttriBoT (Liu, Kandpal, Raffel, ICLR 2025):
 *
 * <ul>
 *   <li><b>exact</b>, with the KV cache (the paper's "key-value caching"): what stands before the
 *       removed source does not change, so its keys and values are taken from the trunk. Removing
 *       s_i = [a, b) costs T - b tokens; n sources of equal length cost about n T / 2.
 *   <li><b>naive</b>: every ablated prompt from position 0, n T tokens. The reference for tests.
 * </ul>
 *
 * One more branch gives L(no attributable context). The trunk, T tokens, gives L(C).
 */
public final class LeaveOneOut implements AttributionMethod {
  public static final String EXACT = "exact-loo";
  public static final String NAIVE = "naive-loo";

  private final String name;
  private final Reuse reuse;

  private LeaveOneOut(String name, Reuse reuse) {
    this.name = name;
    this.reuse = reuse;
  }

  /** With the KV cache. */
  public static LeaveOneOut exact() {
    return new LeaveOneOut(EXACT, new Reuse.Prefix());
  }

  /** Without: the reference. */
  public static LeaveOneOut naive() {
    return new LeaveOneOut(NAIVE, new Reuse.Nothing());
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public ContextScores score(Scorer scorer, ScoringTask task, Meter meter) {
    try (TrunkReadings readings = new TrunkReadings(scorer, task, meter)) {
      return readings.with(reuse, TrunkReadings.cuts(task), name, reuse);
    }
  }

  @Override
  public WorkEstimate estimate(Scorer scorer, ScoringTask task) {
    return TrunkReadings.trunkEstimate(scorer, task, reuse)
        .plus(TrunkReadings.estimate(scorer, task, reuse, TrunkReadings.cuts(task)));
  }
}
