package dev.whence.benchmarks.fidelity;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;

/**
 * Whether scores foretell what the model does without several sources at once: measures that hold
 * scores against ablations rather than against exact leave-one-out. L is exact and in fp32.
 *
 * <ul>
 *   <li><b>LDS</b>, the linear datamodeling score (Park et al., 2023; for contexts Cohen-Wang et
 *       al., NeurIPS 2024): Spearman's correlation, over 64 random masks that keep each source with
 *       probability 1/2, of L(C with the kept sources only) and the sum of their scores. The masks
 *       are the same for all methods of a prompt.
 *   <li><b>top-k drop</b> (Cohen-Wang et al.): L(C) - L(C without the k sources scored highest),
 *       nats. The larger the better.
 *   <li><b>deletion AUC</b> (Petsiuk et al., 2018): sources are deleted in the order of their
 *       scores, a tenth of them at a time; the area under (L - L(no source)) / (L(C) - L(no
 *       source)) over the share deleted, by trapezoids. The smaller the better; 0.05 where the
 *       first tenth takes exactly everything, and less where what is left does harm. For prompts
 *       whose sources are worth more than {@link FidelityBench#RELEVANT_NATS}.
 * </ul>
 *
 * <p>Cost: 64 readings for each prompt, and up to 13 for each method, of which equal ones are
 * computed once.
 */
final class Faithfulness {
  private static final int MASKS = 64;
  private static final int STEPS = 10;

  /** Unlike ContextCite's, whose masks must be others than those that it is measured by. */
  private static final long SEED = 64_001;

  /** L(C without each of some sets of sources), nats. */
  @FunctionalInterface
  interface Ablations {
    List<Double> without(List<? extends Set<Integer>> removed);
  }

  private final Ablations ablations;
  private final List<Set<Integer>> kept = new ArrayList<>();
  private final List<Double> likelihoods;
  private final double full;
  private final double empty;

  /**
   * Reads all masked prompts.
   *
   * @param sources how many there are
   */
  Faithfulness(int sources, Ablations ablations) {
    this.ablations = ablations;
    SplittableRandom random = new SplittableRandom(SEED);
    List<Set<Integer>> removed = new ArrayList<>();
    removed.add(Set.of());
    removed.add(top(new double[sources], sources));
    for (int m = 0; m < MASKS; m++) {
      Set<Integer> keep = new HashSet<>();
      Set<Integer> cut = new HashSet<>();
      for (int i = 0; i < sources; i++) {
        (random.nextBoolean() ? keep : cut).add(i);
      }
      kept.add(keep);
      removed.add(cut);
    }
    List<Double> all = ablations.without(removed);
    this.full = all.get(0);
    this.empty = all.get(1);
    this.likelihoods = all.subList(2, all.size());
  }

  /** The linear datamodeling score; 0 where the scores tell no mask from another. */
  Optional<Double> lds(double[] scores) {
    double[] foretold =
        kept.stream()
            .mapToDouble(mask -> mask.stream().mapToDouble(i -> scores[i]).sum())
            .toArray();
    double[] found = likelihoods.stream().mapToDouble(Double::doubleValue).toArray();
    return Ranking.spearman(foretold, found);
  }

  /** What the k sources scored highest are worth together, nats. */
  double drop(double[] scores, int k) {
    return full - ablations.without(List.of(top(scores, k))).get(0);
  }

  /** The area under the deletion curve; empty where all sources together are worth too little. */
  Optional<Double> deletion(double[] scores) {
    if (!(full - empty > FidelityBench.RELEVANT_NATS)) {
      return Optional.empty();
    }
    List<Set<Integer>> deleted = new ArrayList<>();
    List<Double> shares = new ArrayList<>();
    for (int step = 0; step <= STEPS; step++) {
      int count = Math.round((float) step * scores.length / STEPS);
      deleted.add(top(scores, count));
      shares.add((double) count / scores.length);
    }
    List<Double> left = ablations.without(deleted);
    double area = 0;
    for (int step = 1; step <= STEPS; step++) {
      double before = (left.get(step - 1) - empty) / (full - empty);
      double after = (left.get(step) - empty) / (full - empty);
      area += (shares.get(step) - shares.get(step - 1)) * (before + after) / 2;
    }
    return Optional.of(area);
  }

  /** What a method's scores of one prompt reach, by the name of the measure. */
  Map<String, Optional<Double>> of(double[] scores) {
    Map<String, Optional<Double>> measures = new TreeMap<>();
    measures.put("lds", lds(scores));
    for (int k : new int[] {1, 3, 5}) {
      measures.put("drop" + k, Optional.of(drop(scores, k)));
    }
    measures.put("deletion", deletion(scores));
    return measures;
  }

  private static Set<Integer> top(double[] scores, int k) {
    return new HashSet<>(Ranking.order(scores).subList(0, Math.min(k, scores.length)));
  }
}
