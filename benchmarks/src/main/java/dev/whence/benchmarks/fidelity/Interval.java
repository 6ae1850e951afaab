package dev.whence.benchmarks.fidelity;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;

/**
 * A mean over prompts with its 95 % bootstrap interval (Efron, 1979; percentiles of the means of
 * 2,000 samples of prompts with replacement).
 *
 * @param of how many values
 */
public record Interval(double mean, double low, double high, int of) {
  private static final int SAMPLES = 2000;

  /** Of a value per prompt. */
  public static Interval of(List<Double> values) {
    int n = values.size();
    if (n == 0) {
      return new Interval(0, 0, 0, 0);
    }
    SplittableRandom random = new SplittableRandom(1);
    double[] means = new double[SAMPLES];
    for (int s = 0; s < SAMPLES; s++) {
      double sum = 0;
      for (int i = 0; i < n; i++) {
        sum += values.get(random.nextInt(n));
      }
      means[s] = sum / n;
    }
    Arrays.sort(means);
    double mean = values.stream().mapToDouble(Double::doubleValue).sum() / n;
    return new Interval(
        mean, means[(int) (0.025 * SAMPLES)], means[(int) (0.975 * SAMPLES) - 1], n);
  }

  /** ".953 (.921 to .980)". */
  public String text() {
    return of == 0 ? "-" : String.format(Locale.ROOT, "%.3f (%.3f to %.3f)", mean, low, high);
  }
}
