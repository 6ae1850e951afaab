package dev.whence.attribution.method;

import dev.whence.attribution.method.ContextScores.SourceTau;
import dev.whence.engine.Branch;
import dev.whence.engine.Scorer;
import dev.whence.engine.WorkEstimate;
import java.util.ArrayList;
import java.util.List;

/**
 * Attention (a baseline of AttriBoT, Liu, Kandpal, Raffel, ICLR 2025): how much the response looks
 * at each source.
 *
 * <pre>
 *   a_i = sum over response tokens t, and tokens k of s_i, of the attention from row t - 1 to k,
 *         mean over heads and layers
 * </pre>
 *
 * Row t - 1 is the one that predicts t. The paper's code sums over layers where this takes the
 * mean, which changes no order; a_i then is a number of response tokens, and all of a prompt's add
 * up to at most r. Not tau, and never negative.
 *
 * <p>Cost: T + r tokens: the rows of the response are computed again over the trunk's keys.
 */
public final class Attention implements AttributionMethod {
  public static final String NAME = "attention";

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public ContextScores score(Scorer scorer, ScoringTask task, Meter meter) {
    try (TrunkReadings readings = new TrunkReadings(scorer, task, meter)) {
      int sources = task.sources().size();
      double[][] mass =
          AttributionMethod.introspection(scorer)
              .attention(readings.trunk(), task.sourceOfToken(), sources);
      meter.ranBranches(scorer, readings.trunk(), List.of(rows(task)));
      List<SourceTau> scores = new ArrayList<>();
      for (int i = 0; i < sources; i++) {
        double[] byToken = new double[mass.length];
        for (int t = 0; t < byToken.length; t++) {
          byToken[t] = mass[t][i];
        }
        double[] ofResponse = Likelihoods.ofResponse(task.response(), byToken);
        scores.add(SourceTau.other(task.response().byStatement(ofResponse), NAME, scorer));
      }
      return readings.with(scores, new Reuse.Prefix());
    }
  }

  /** What is computed again: from the token before the first scored one on. */
  private static Branch rows(ScoringTask task) {
    int[] prompt = task.prompt().encoding().ids();
    return new Reuse.Prefix()
        .branch(
            new Reuse.Reading(
                prompt,
                prompt.length,
                0,
                prompt.length,
                task.scoredFrom(),
                task.scoredFrom(),
                task.response().ids()));
  }

  @Override
  public WorkEstimate estimate(Scorer scorer, ScoringTask task) {
    AttributionMethod.introspection(scorer);
    int scored = task.scored();
    WorkEstimate trunk = scorer.estimate(task.length(), scored, List.of());
    WorkEstimate both = scorer.estimate(task.length(), scored, List.of(rows(task)));
    return TrunkReadings.trunkEstimate(scorer, task, new Reuse.Prefix()).plus(both).minus(trunk);
  }
}
