package dev.whence.benchmarks.influence;

import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * Whether a sketch keeps the documents that count: of the ten documents with the largest and the
 * ten with the smallest exact influence, the share that is among the candidates, which are as many
 * of each sign as are ranked again. Ranking again gives candidates their exact influences, so those
 * among them are exactly those that come out among the first ten.
 */
final class SketchRecall {
  static final int TOP = 10;

  private SketchRecall() {}

  /**
   * The share.
   *
   * @param exact influences by document
   * @param estimates of the same, by sketches
   * @param rerank candidates of each sign, at least 1
   */
  static double of(double[] exact, double[] estimates, int rerank) {
    Set<Integer> candidates = new HashSet<>(first(estimates, rerank, 1));
    candidates.addAll(first(estimates, rerank, -1));
    Set<Integer> wanted = new HashSet<>(first(exact, TOP, 1));
    wanted.addAll(first(exact, TOP, -1));
    return (double) wanted.stream().filter(candidates::contains).count() / wanted.size();
  }

  /** Without ranking again: of each sign the first ten by sketches against the exact first ten. */
  static double unranked(double[] exact, double[] estimates) {
    double found = 0;
    for (int sign : new int[] {1, -1}) {
      Set<Integer> wanted = new HashSet<>(first(exact, TOP, sign));
      found +=
          (double) first(estimates, TOP, sign).stream().filter(wanted::contains).count()
              / wanted.size();
    }
    return found / 2;
  }

  private static List<Integer> first(double[] scores, int most, int sign) {
    return IntStream.range(0, scores.length)
        .boxed()
        .sorted(Comparator.comparingDouble(i -> -sign * scores[i]))
        .limit(most)
        .toList();
  }
}
