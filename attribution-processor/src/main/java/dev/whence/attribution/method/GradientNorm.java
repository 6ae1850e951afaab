package dev.whence.attribution.method;

import dev.whence.attribution.method.ContextScores.SourceTau;
import dev.whence.engine.Scorer;
import dev.whence.engine.WorkEstimate;
import java.util.ArrayList;
import java.util.List;

/**
 * Gradient norm (a baseline of AttriBoT, Liu, Kandpal, Raffel, ICLR 2025): how steeply the
 * response's log-likelihood changes with the embeddings of a source's tokens.
 *
 * <pre>
 *   G_i = d L(C) / d (embeddings of the tokens of s_i),  |s_i| x d
 *   score_i = || G_i ||_2, over all elements
 * </pre>
 *
 * Split by statement, score_ij = G_ij . G_i / || G_i || with the gradient G_ij of statement j
 * alone: rows sum to the norm. Not tau: nats per unit of embedding, and never negative.
 *
 * <p>Cost: T, then a forward and for each statement a backward of T tokens, and of several one more
 * of all, in fp32.
 */
public final class GradientNorm implements AttributionMethod {
  public static final String NAME = "gradient-norm";

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public ContextScores score(Scorer scorer, ScoringTask task, Meter meter) {
    try (TrunkReadings readings = new TrunkReadings(scorer, task, meter)) {
      int sources = task.sources().size();
      int statements = task.response().statements().size();
      double[][] products =
          AttributionMethod.introspection(scorer)
              .embeddingGradients(
                  task.tokens(),
                  task.prompt().length(),
                  task.response().statementOf(),
                  statements,
                  task.sourceOfToken(),
                  sources);
      meter.ran(estimateGradients(scorer, task));
      List<SourceTau> scores = new ArrayList<>();
      for (int i = 0; i < sources; i++) {
        double squared = 0;
        for (double[] statement : products) {
          squared += statement[i];
        }
        double[] byStatement = new double[statements];
        for (int j = 0; j < statements && squared > 0; j++) {
          byStatement[j] = products[j][i] / Math.sqrt(squared);
        }
        scores.add(SourceTau.other(byStatement, NAME, scorer));
      }
      return readings.with(scores, new Reuse.Prefix());
    }
  }

  private static WorkEstimate estimateGradients(Scorer scorer, ScoringTask task) {
    return AttributionMethod.introspection(scorer)
        .estimateGradients(
            task.length(), task.response().length(), task.response().statements().size());
  }

  @Override
  public WorkEstimate estimate(Scorer scorer, ScoringTask task) {
    return TrunkReadings.trunkEstimate(scorer, task, new Reuse.Prefix())
        .plus(estimateGradients(scorer, task));
  }
}
