package dev.whence.attribution.confidence;

import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * The sources that matter most, and when two scorers agree on them.
 *
 * <pre>
 *   k = min(3, number of the target's sources with tau > 1 nat)
 *   agree: the k largest of the fast path are the k largest of the target, as sets;
 *          for k = 0: the fast path has none above 1 nat either
 * </pre>
 *
 * <p>Most sources have a tau near 0, and their order is noise; so only the first ones count.
 */
public final class TopSources {
  /** A source that is worth more matters, nats. */
  public static final double RELEVANT_NATS = 1;

  /** So many of them are compared. */
  public static final int MOST = 3;

  private TopSources() {}

  /** k of a scorer's own scores. */
  public static int relevant(double[] taus) {
    long above = IntStream.range(0, taus.length).filter(i -> taus[i] > RELEVANT_NATS).count();
    return (int) Math.min(MOST, above);
  }

  /** The indices of the k largest, the largest first; of equal ones the first. */
  public static List<Integer> ranked(double[] taus, int k) {
    return IntStream.range(0, taus.length)
        .boxed()
        .sorted(Comparator.comparingDouble(i -> -taus[i]))
        .limit(k)
        .toList();
  }

  static Set<Integer> top(double[] taus, int k) {
    return Set.copyOf(ranked(taus, k));
  }

  /**
   * Whether the fast path found the target's top sources.
   *
   * @param fast tau of each source, nats
   * @param target tau of the same sources in the same order, nats
   */
  public static boolean agree(double[] fast, double[] target) {
    if (fast.length != target.length) {
      throw new IllegalArgumentException(
          fast.length + " sources of the fast path, " + target.length + " of the target");
    }
    int k = relevant(target);
    return k == 0 ? relevant(fast) == 0 : top(fast, k).equals(top(target, k));
  }
}
