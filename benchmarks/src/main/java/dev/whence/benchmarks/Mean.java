package dev.whence.benchmarks;

import dev.whence.attribution.Proportion;
import java.util.List;
import java.util.Locale;

/**
 * The mean of some values, with the 95 % interval of the normal approximation.
 *
 * @param mean 0 where there is no value
 * @param half of the interval's width; 0 where there are fewer than two values
 * @param of how many values
 */
public record Mean(double mean, double half, int of) {
  static Mean of(List<Double> values) {
    int n = values.size();
    double mean = values.stream().mapToDouble(Double::doubleValue).average().orElse(0);
    double squares = values.stream().mapToDouble(value -> (value - mean) * (value - mean)).sum();
    double half = n < 2 ? 0 : Proportion.Z * Math.sqrt(squares / (n - 1) / n);
    return new Mean(mean, half, n);
  }

  /** "7.31 +/- 0.42". */
  String text() {
    return switch (of) {
      case 0 -> "none to count";
      case 1 -> String.format(Locale.ROOT, "%.2f", mean);
      default -> String.format(Locale.ROOT, "%.2f +/- %.2f", mean, half);
    };
  }
}
