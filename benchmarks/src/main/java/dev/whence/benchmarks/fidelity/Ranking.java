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

  /**
   * Pearson's correlation. Scores that are all the same say nothing of a truth that is not, which
   * is 0: left out, they would spare a method its worst prompts. Empty where the truth is constant.
   */
  static Optional<Double> pearson(double[] scores, double[] truth) {
    double meanScore = Arrays.stream(scores).average().orElse(0);
    double meanTruth = Arrays.stream(truth).average().orElse(0);
    double xy = 0;
    double xx = 0;
    double yy = 0;
    for (int i = 0; i < scores.length; i++) {
      xy += (scores[i] - meanScore) * (truth[i] - meanTruth);
      xx += (scores[i] - meanScore) * (scores[i] - meanScore);
      yy += (truth[i] - meanTruth) * (truth[i] - meanTruth);
    }
    if (!(yy > 0)) {
      return Optional.empty();
    }
    return Optional.of(xx > 0 ? xy / Math.sqrt(xx * yy) : 0);
  }

  /** Spearman's: {@link #pearson} of the ranks, equal values sharing the mean of theirs. */
  public static Optional<Double> spearman(double[] scores, double[] truth) {
    return pearson(ranks(scores), ranks(truth));
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

  /** Kendall's tau-b; 0 and empty as {@link #pearson}. */
  static Optional<Double> kendall(double[] scores, double[] truth) {
    double agree = 0;
    double inScores = 0;
    double inTruth = 0;
    for (int i = 0; i < scores.length; i++) {
      for (int j = 0; j < i; j++) {
        double a = Math.signum(scores[i] - scores[j]);
        double b = Math.signum(truth[i] - truth[j]);
        agree += a * b;
        inScores += a * a;
        inTruth += b * b;
      }
    }
    if (!(inTruth > 0)) {
      return Optional.empty();
    }
    return Optional.of(inScores > 0 ? agree / Math.sqrt(inScores * inTruth) : 0);
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
