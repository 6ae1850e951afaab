package dev.whence.attribution.confidence;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Isotonic regression by pool-adjacent-violators (Ayer et al. 1955; as a calibration: Zadrozny and
 * Elkan, KDD 2002): the non-decreasing step function of a score that is closest, in squares, to
 * what happened.
 */
final class Isotonic {
  /** Where each step begins, ascending, and its height. */
  private final double[] from;

  private final double[] height;

  private Isotonic(double[] from, double[] height) {
    this.from = from;
    this.height = height;
  }

  private static final class Block {
    final double from;
    double hits;
    int size;

    Block(double from, double hits, int size) {
      this.from = from;
      this.hits = hits;
      this.size = size;
    }

    double mean() {
      return hits / size;
    }
  }

  /**
   * Fits; equal scores fall into one step.
   *
   * @param scores finite
   * @param happened of the same length, at least 1
   */
  static Isotonic fit(double[] scores, boolean[] happened) {
    List<Block> blocks = new ArrayList<>();
    for (int i :
        IntStream.range(0, scores.length)
            .boxed()
            .sorted(Comparator.comparingDouble(i -> scores[i]))
            .toList()) {
      Block last = blocks.isEmpty() ? null : blocks.get(blocks.size() - 1);
      if (last != null && last.from == scores[i]) {
        last.hits += happened[i] ? 1 : 0;
        last.size++;
      } else {
        pool(blocks);
        blocks.add(new Block(scores[i], happened[i] ? 1 : 0, 1));
      }
    }
    pool(blocks);
    return new Isotonic(
        blocks.stream().mapToDouble(block -> block.from).toArray(),
        blocks.stream().mapToDouble(Block::mean).toArray());
  }

  /** Merges the last blocks until the means do not fall. */
  private static void pool(List<Block> blocks) {
    for (int last = blocks.size() - 1; last > 0; last--) {
      Block upper = blocks.get(last);
      Block lower = blocks.get(last - 1);
      if (lower.mean() < upper.mean()) {
        return;
      }
      lower.hits += upper.hits;
      lower.size += upper.size;
      blocks.remove(last);
    }
  }

  /** Height at a score; below the first step, the first's. */
  double at(double score) {
    int found = Arrays.binarySearch(from, score);
    return height[found >= 0 ? found : Math.max(0, -found - 2)];
  }
}
