package dev.whence.attribution.confidence;

import dev.whence.attribution.Proportion;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * How likely the target agrees with a fast result, learnt from responses that both have scored.
 *
 * <pre>
 *   z = logistic regression of agreement on the {@link Features}
 *   c = isotonic regression of agreement on z, where each z comes of a fit without that response
 *       (five folds): the calibrated confidence
 *   keep the results with the largest z, as many as agree as often as is wanted even at the lower
 *   end of the 95 % interval (Wilson) of sum(c) of them; escalate the others
 * </pre>
 *
 * <p>Were mean(c) itself held against what is wanted, every second calibration would promise more
 * than it keeps, and one from 100 pairs by 5 points now and then: the threshold is chosen by the
 * same pairs. The fewer pairs, the more is escalated: with 100 of which 95 agree an agreement of .9
 * is not shown yet (low end .888), with 200 it is (.910).
 *
 * <p>Nothing is kept that is larger than every response that was measured (in sources, in tokens,
 * or in both together): the target may have been too dear for those, so nobody knows.
 *
 * <p>The pairs must be drawn whatever their scores are, else what is learnt holds only for those
 * that looked doubtful. The wanted agreement is that of the results that the fast path makes final:
 * escalated ones are the target's own.
 */
public final class Calibration {
  private static final int FOLDS = 5;

  private final Logistic model;
  private final Isotonic calibrated;
  private final double threshold;

  /** {@link Features#sizes} that were measured at most. */
  private final double[] largest;

  private final int size;
  private final Proportion all;
  private final Proportion kept;

  /**
   * A response that was scored both ways.
   *
   * @param features see {@link Features}
   * @param agreed see {@link TopSources#agree}
   * @param stood whether the fast result would have been final, as it was judged then
   */
  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  public record Pair(double[] features, boolean agreed, boolean stood) {
    /**
     * A pair of named features.
     *
     * @throws IllegalArgumentException if a feature is missing or no number
     */
    public static Pair of(Map<String, Double> features, boolean agreed, boolean stood) {
      return new Pair(Features.vector(features), agreed, stood);
    }
  }

  private Calibration(
      Logistic model,
      Isotonic calibrated,
      double threshold,
      double[] largest,
      int size,
      Proportion all,
      Proportion kept) {
    this.model = model;
    this.calibrated = calibrated;
    this.threshold = threshold;
    this.largest = largest;
    this.size = size;
    this.all = all;
    this.kept = kept;
  }

  /**
   * Learns from pairs.
   *
   * @param pairs at least as many as there are folds
   * @param wanted agreement of what is not escalated, 0 to 1
   */
  public static Calibration fit(List<Pair> pairs, double wanted) {
    if (pairs.size() < FOLDS) {
      throw new IllegalArgumentException(pairs.size() + " pairs are too few");
    }
    double[] z = new double[pairs.size()];
    boolean[] agreed = new boolean[z.length];
    for (int fold = 0; fold < FOLDS; fold++) {
      int left = fold;
      List<Pair> others = new ArrayList<>();
      IntStream.range(0, z.length)
          .filter(i -> i % FOLDS != left)
          .mapToObj(pairs::get)
          .forEach(others::add);
      Logistic without = Logistic.fit(others);
      for (int i = fold; i < z.length; i += FOLDS) {
        z[i] = without.logOdds(pairs.get(i).features());
        agreed[i] = pairs.get(i).agreed();
      }
    }
    Isotonic calibrated = Isotonic.fit(z, agreed);
    List<Integer> order =
        IntStream.range(0, z.length)
            .boxed()
            .sorted(Comparator.comparingDouble(i -> -z[i]))
            .toList();
    double sum = 0;
    int keep = 0;
    for (int i = 0; i < z.length; i++) {
      sum += calibrated.at(z[order.get(i)]);
      if (i + 1 < z.length && z[order.get(i + 1)] == z[order.get(i)]) {
        continue; // no threshold keeps one of equals and not the other
      }
      // Steps of isotonic regression have as many hits as the pairs in them.
      if (Proportion.of((int) (sum + 1e-9), i + 1).low() >= wanted - 1e-12) {
        keep = i + 1;
      }
    }
    double threshold =
        keep == z.length
            ? Double.NEGATIVE_INFINITY
            : keep == 0 ? Double.POSITIVE_INFINITY : z[order.get(keep - 1)];
    int hits = (int) order.subList(0, keep).stream().filter(i -> agreed[i]).count();
    int allHits = (int) pairs.stream().filter(Pair::agreed).count();
    double[] largest = Features.sizes(pairs.get(0).features());
    for (Pair pair : pairs) {
      double[] sizes = Features.sizes(pair.features());
      Arrays.setAll(largest, i -> Math.max(largest[i], sizes[i]));
    }
    return new Calibration(
        Logistic.fit(pairs),
        calibrated,
        threshold,
        largest,
        z.length,
        Proportion.of(allHits, z.length),
        Proportion.of(hits, keep));
  }

  /** The calibrated probability that the target agrees; never certain. */
  public double confidence(double[] features) {
    double least = 1.0 / (size + 2);
    return Math.min(1 - least, Math.max(least, calibrated.at(model.logOdds(features))));
  }

  /** Whether a result is kept, rather than escalated. */
  public boolean keeps(double[] features) {
    return covers(features) && model.logOdds(features) >= threshold;
  }

  /** Whether responses as large as this one were measured. */
  public boolean covers(double[] features) {
    double[] sizes = Features.sizes(features);
    return IntStream.range(0, sizes.length).allMatch(i -> sizes[i] <= largest[i] + 1e-9);
  }

  /** Agreement over all traffic, with its interval. */
  public Proportion agreement() {
    return all;
  }

  /**
   * Agreement of those pairs that would be kept, as counted. The threshold was chosen so that what
   * was wanted is at most the low end of its interval, with the count smoothed by isotonic
   * regression: a pair more or less. How it turns out is said by {@link Calibrator.Known#stood}.
   */
  public Proportion keptAgreement() {
    return kept;
  }

  /** Share of the responses that are escalated. */
  public double escalatedShare() {
    return 1 - (double) kept.of() / size;
  }
}
