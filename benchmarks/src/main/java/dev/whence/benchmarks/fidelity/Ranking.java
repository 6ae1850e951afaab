package dev.whence.benchmarks.fidelity;

import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** How well scores agree with those of exact leave-one-out. */
public final class Ranking {
  private Ranking() {}

  /** Indices by falling score; of equal ones the first. */
  static List<Integer> order(double[] scores) {
    return IntStream.range(0, scores.length)
        .boxed()
        .sorted(Comparator.comparingDouble(i -> -scores[i]))
        .toList();
  }

  /** The k sources with the largest exact score, of those above a least score. */
  static Set<Integer> relevant(double[] exact, int k, double least) {
    return order(exact).stream().limit(k).filter(i -> exact[i] > least).collect(Collectors.toSet());
  }

  /**
   * Average precision of the full ranking: the mean, over the relevant sources, of the share of
   * relevant ones among those down to it.
   *
   * @return empty if none is relevant
   */
  static Optional<Double> averagePrecision(double[] scores, Set<Integer> relevant) {
    if (relevant.isEmpty()) {
      return Optional.empty();
    }
    List<Integer> order = order(scores);
    int found = 0;
    double sum = 0;
    for (int rank = 1; rank <= order.size(); rank++) {
      if (relevant.contains(order.get(rank - 1))) {
        found++;
        sum += (double) found / rank;
      }
    }
    return Optional.of(sum / relevant.size());
  }

  /** Pearson's correlation; empty where one side is constant. */
  static Optional<Double> pearson(double[] x, double[] y) {
    double meanX = Arrays.stream(x).average().orElse(0);
    double meanY = Arrays.stream(y).average().orElse(0);
    double xy = 0;
    double xx = 0;
    double yy = 0;
    for (int i = 0; i < x.length; i++) {
      xy += (x[i] - meanX) * (y[i] - meanY);
      xx += (x[i] - meanX) * (x[i] - meanX);
      yy += (y[i] - meanY) * (y[i] - meanY);
    }
    return xx > 0 && yy > 0 ? Optional.of(xy / Math.sqrt(xx * yy)) : Optional.empty();
  }

  /** Spearman's: Pearson's of the ranks, equal values sharing the mean of theirs. */
  public static Optional<Double> spearman(double[] x, double[] y) {
    return pearson(ranks(x), ranks(y));
  }

  private static double[] ranks(double[] values) {
    double[] ranks = new double[values.length];
    for (int i = 0; i < values.length; i++) {
      int below = 0;
      int equal = 0;
      for (double value : values) {
        below += value < values[i] ? 1 : 0;
        equal += value == values[i] ? 1 : 0;
      }
      ranks[i] = below + (equal + 1) / 2.0;
    }
    return ranks;
  }

  /** Kendall's tau-b; empty where one side is constant. */
  static Optional<Double> kendall(double[] x, double[] y) {
    double agree = 0;
    double inX = 0;
    double inY = 0;
    for (int i = 0; i < x.length; i++) {
      for (int j = 0; j < i; j++) {
        double a = Math.signum(x[i] - x[j]);
        double b = Math.signum(y[i] - y[j]);
        agree += a * b;
        inX += a * a;
        inY += b * b;
      }
    }
    return inX > 0 && inY > 0 ? Optional.of(agree / Math.sqrt(inX * inY)) : Optional.empty();
  }

  /**
   * Area under the ROC curve: the chance that a marked source is scored above another one, equal
   * scores counting half.
   *
   * @return empty if all or none are marked
   */
  static Optional<Double> rocAuc(double[] scores, Set<Integer> marked) {
    double wins = 0;
    long pairs = 0;
    for (int i : marked) {
      for (int j = 0; j < scores.length; j++) {
        if (!marked.contains(j)) {
          pairs++;
          wins += scores[i] > scores[j] ? 1 : scores[i] == scores[j] ? 0.5 : 0;
        }
      }
    }
    return pairs > 0 ? Optional.of(wins / pairs) : Optional.empty();
  }
}
