package dev.whence.attribution.method;

import dev.whence.attribution.method.ContextScores.SourceTau;
import dev.whence.attribution.source.Source;
import dev.whence.conversation.Span;
import dev.whence.engine.Scorer;
import dev.whence.engine.WorkEstimate;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * ContextCite (Cohen-Wang, Shah, Georgiev, Madry, NeurIPS 2024): a sparse linear surrogate of how
 * the response's probability depends on which sources are there.
 *
 * <pre>
 *   y_k = logit p(r | C with the sources of mask k only),  each source kept with probability 1/2
 *   w   = Lasso of y / |r| on the masks, alpha = 0.01, times |r|
 * </pre>
 *
 * The score of a source is its weight: nats of logit, not tau. Fitted for each statement by itself,
 * so that rows of the matrix sum to the score; with one statement it is the paper's.
 *
 * <p>Every ablated prompt is computed exactly, from its first removed source on. Cost: T + m T
 * tokens for m masks, nearly: half of them lack one of the first sources.
 */
public final class ContextCite implements AttributionMethod {
  public static final String NAME = "contextcite";

  private static final double LEAST_DOUBT = 1e-5;
  private static final double ALPHA = 0.01;
  private static final double KEPT = 0.5;

  private final int masks;
  private final long seed;

  /**
   * @param masks m
   * @param seed of the masks
   */
  public ContextCite(int masks, long seed) {
    this.masks = masks;
    this.seed = seed;
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public ContextScores score(Scorer scorer, ScoringTask task, Meter meter) {
    boolean[][] drawn = draw(task.sources());
    int[] lengths = task.response().tokensByStatement();
    double[][] weights = new double[lengths.length][];
    Reuse exact = new Reuse.Prefix();
    try (TrunkReadings readings = new TrunkReadings(scorer, task, meter)) {
      List<Optional<double[]>> read = readings.logLikelihoodsIfAny(exact, cuts(task, drawn));
      // Of a prompt that is all context a mask may leave nothing, which has no probability.
      boolean[][] kept =
          IntStream.range(0, masks)
              .filter(k -> read.get(k).isPresent())
              .mapToObj(k -> drawn[k])
              .toArray(boolean[][]::new);
      List<double[]> likelihoods = read.stream().flatMap(Optional::stream).toList();
      if (likelihoods.isEmpty()) {
        throw TrunkReadings.nothingLeft();
      }
      for (int j = 0; j < lengths.length; j++) {
        double[] y = new double[kept.length];
        for (int k = 0; k < y.length; k++) {
          y[k] = logit(likelihoods.get(k)[j], lengths[j]) / Math.max(1, lengths[j]);
        }
        weights[j] = Lasso.fit(kept, y, ALPHA);
      }
      List<SourceTau> scores = new ArrayList<>();
      for (int i = 0; i < task.sources().size(); i++) {
        double[] byStatement = new double[lengths.length];
        for (int j = 0; j < lengths.length; j++) {
          byStatement[j] = weights[j][i] * lengths[j];
        }
        scores.add(SourceTau.other(byStatement, NAME, scorer));
      }
      return readings.with(scores, exact);
    }
  }

  /**
   * log p - log(1 - p) of p = exp(l), where no more than rounding makes l differ from 0, or even
   * positive: below {@link #LEAST_DOUBT} a token, 1 - p is a matter of rounding in fp32.
   */
  static double logit(double l, int tokens) {
    double known = Math.min(l, -LEAST_DOUBT * Math.max(1, tokens));
    return known - Math.log(-Math.expm1(known));
  }

  /** What is not in the prompt is always there: no mask can take it out. */
  private boolean[][] draw(List<Source> sources) {
    SplittableRandom random = new SplittableRandom(seed);
    boolean[][] kept = new boolean[masks][sources.size()];
    for (boolean[] mask : kept) {
      for (int i = 0; i < mask.length; i++) {
        mask[i] = random.nextDouble() < KEPT || sources.get(i).rendered().isEmpty();
      }
    }
    return kept;
  }

  private static List<List<Span>> cuts(ScoringTask task, boolean[][] kept) {
    List<List<Span>> cuts = new ArrayList<>();
    for (boolean[] mask : kept) {
      List<Span> cut = new ArrayList<>();
      for (int i = 0; i < mask.length; i++) {
        if (!mask[i]) {
          cut.add(task.sources().get(i).rendered());
        }
      }
      cuts.add(cut);
    }
    return cuts;
  }

  @Override
  public WorkEstimate estimate(Scorer scorer, ScoringTask task) {
    Reuse exact = new Reuse.Prefix();
    return TrunkReadings.trunkEstimate(scorer, task, exact)
        .plus(TrunkReadings.estimate(scorer, task, exact, cuts(task, draw(task.sources()))));
  }
}
