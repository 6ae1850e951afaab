package dev.whence.attribution.method;

import dev.whence.attribution.method.ContextScores.SourceTau;
import dev.whence.engine.Scorer;
import dev.whence.engine.WorkEstimate;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Embedding similarity (a baseline of AttriBoT, Liu, Kandpal, Raffel, ICLR 2025): how alike a
 * source and the response are. The paper embeds both with a sentence encoder; here the scoring
 * model itself does, so that nothing else has to be loaded.
 *
 * <pre>
 *   u_i = mean of the hidden states, after the last norm, of the tokens of s_i
 *   v   = the same of the response, mu = the same of the whole sequence
 *   score_i = cos(u_i - mu, v - mu)
 * </pre>
 *
 * A decoder's states all point much the same way; without mu every cosine is near 1. Split by
 * statement, score_ij = (r_j / r) (u_i - mu) . (v_j - mu) / (|u_i - mu| |v - mu|) for the r_j
 * tokens of statement j: rows sum to the cosine. Not tau.
 *
 * <p>Cost: 2 T tokens: the trunk for L(C), and the sequence once more for its states.
 */
public final class Similarity implements AttributionMethod {
  public static final String NAME = "similarity";

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public ContextScores score(Scorer scorer, ScoringTask task, Meter meter) {
    try (TrunkReadings readings = new TrunkReadings(scorer, task, meter)) {
      int sources = task.sources().size();
      int[] lengths = task.response().tokensByStatement();
      int statements = lengths.length;
      // a group for each source, each statement, and all other tokens
      int[] groupOf = task.sourceOfToken();
      Arrays.setAll(groupOf, t -> groupOf[t] == sources ? sources + statements : groupOf[t]);
      int[] statementOf = task.response().statementOf();
      for (int t = 0; t < statementOf.length; t++) {
        groupOf[task.prompt().length() + t] = sources + statementOf[t];
      }
      double[][] means =
          AttributionMethod.introspection(scorer)
              .meanStates(task.tokens(), groupOf, sources + statements + 1);
      meter.ran(estimateStates(scorer, task));
      centre(means, groupOf);
      double[] response = new double[means[0].length];
      for (int j = 0; j < statements; j++) {
        add(response, means[sources + j], (double) lengths[j] / statementOf.length);
      }
      List<SourceTau> scores = new ArrayList<>();
      for (int i = 0; i < sources; i++) {
        double norms = norm(means[i]) * norm(response);
        double[] byStatement = new double[statements];
        for (int j = 0; j < statements && norms > 0; j++) {
          double share = (double) lengths[j] / statementOf.length;
          byStatement[j] = share * dot(means[i], means[sources + j]) / norms;
        }
        scores.add(SourceTau.other(byStatement, NAME, scorer));
      }
      return readings.with(scores, new Reuse.Prefix());
    }
  }

  /** Takes mu from the mean of each group that has a token. */
  private static void centre(double[][] means, int[] groupOf) {
    double[] mu = new double[means[0].length];
    boolean[] has = new boolean[means.length];
    for (int group : groupOf) {
      add(mu, means[group], 1.0 / groupOf.length);
      has[group] = true;
    }
    for (int k = 0; k < means.length; k++) {
      add(means[k], mu, has[k] ? -1 : 0);
    }
  }

  private static void add(double[] to, double[] what, double times) {
    for (int i = 0; i < to.length; i++) {
      to[i] += times * what[i];
    }
  }

  private static double dot(double[] x, double[] y) {
    double sum = 0;
    for (int i = 0; i < x.length; i++) {
      sum += x[i] * y[i];
    }
    return sum;
  }

  private static double norm(double[] x) {
    return Math.sqrt(dot(x, x));
  }

  private static WorkEstimate estimateStates(Scorer scorer, ScoringTask task) {
    return AttributionMethod.introspection(scorer).estimateStates(task.length());
  }

  @Override
  public WorkEstimate estimate(Scorer scorer, ScoringTask task) {
    return TrunkReadings.trunkEstimate(scorer, task, new Reuse.Prefix())
        .plus(estimateStates(scorer, task));
  }
}
