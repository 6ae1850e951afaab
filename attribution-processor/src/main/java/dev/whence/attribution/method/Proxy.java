package dev.whence.attribution.method;

import dev.whence.engine.Scorer;
import dev.whence.engine.WorkEstimate;

/**
 * Proxy modelling (AttriBoT, Liu, Kandpal, Raffel, ICLR 2025): a smaller model of the same family
 * scores the sources in place of the target. It reads the conversation with its own template and
 * tokenizer.
 *
 * <p>L(C) and groundedness are the target's: one pass and one branch of it. All source scores are
 * the proxy's, named as such, and are not exact for the target.
 */
public final class Proxy implements AttributionMethod {
  public static final String NAME = "proxy";

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public ContextScores score(Scorer scorer, ScoringTask task, Meter meter) {
    Prior prior = task.requirePrior();
    try (TrunkReadings readings = new TrunkReadings(scorer, task, meter)) {
      return readings.with(
          prior.taus(meter).stream().map(ContextScores.SourceTau::inexact).toList(),
          new Reuse.Prefix());
    }
  }

  @Override
  public WorkEstimate estimate(Scorer scorer, ScoringTask task) {
    return TrunkReadings.trunkEstimate(scorer, task, new Reuse.Prefix())
        .plus(task.requirePrior().estimate());
  }
}
