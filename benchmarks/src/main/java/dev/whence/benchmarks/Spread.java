package dev.whence.benchmarks;

import java.util.List;
import java.util.Locale;

/**
 * What repeated measurements gave.
 *
 * @param min smallest
 * @param median middle one, or the mean of the two middle ones
 * @param max largest
 * @param runs how many
 */
public record Spread(double min, double median, double max, int runs) {
  /**
   * The spread of some values.
   *
   * @throws IllegalArgumentException if there is no value
   */
  public static Spread of(List<Double> values) {
    if (values.isEmpty()) {
      throw new IllegalArgumentException("nothing was measured");
    }
    double[] sorted = values.stream().mapToDouble(Double::doubleValue).sorted().toArray();
    int n = sorted.length;
    double median = n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
    return new Spread(sorted[0], median, sorted[n - 1], n);
  }

  /** Smallest value that at least a share of the values do not exceed (nearest rank). */
  public static double percentile(List<Double> values, double share) {
    if (values.isEmpty() || share <= 0 || share > 1) {
      throw new IllegalArgumentException(
          "percentile " + share + " of " + values.size() + " values");
    }
    double[] sorted = values.stream().mapToDouble(Double::doubleValue).sorted().toArray();
    return sorted[(int) Math.ceil(share * sorted.length) - 1];
  }

  /** "median (min to max, n runs)". */
  public String text(String format) {
    return String.format(
        Locale.ROOT,
        format + " (" + format + " to " + format + ", %d run%s)",
        median,
        min,
        max,
        runs,
        runs == 1 ? "" : "s");
  }
}
