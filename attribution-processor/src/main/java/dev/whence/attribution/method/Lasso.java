package dev.whence.attribution.method;

import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * Least squares with an L1 penalty (Lasso, Tibshirani, 1996), by cyclic coordinate descent
 * (Friedman, Hastie, Tibshirani, 2010, sections 2.1 and 2.6):
 *
 * <pre>
 *   minimise  |y - b - X w|^2 / (2 m) + alpha |w|_1
 * </pre>
 *
 * with the columns of X centred and scaled to unit variance first, as ContextCite does; the weights
 * are those of the columns as they were given. A column that is constant gets weight 0.
 */
final class Lasso {
  private static final int SWEEPS = 1_000;

  /** Relative to the spread of y: below any difference that matters for a ranking. */
  private static final double TOLERANCE = 1e-8;

  private Lasso() {}

  /**
   * The weights w.
   *
   * @param x m rows of n columns
   * @param y m values
   * @return n weights
   */
  static double[] fit(boolean[][] x, double[] y, double alpha) {
    int m = x.length;
    int n = m == 0 ? 0 : x[0].length;
    double[][] columns = new double[n][m];
    double[] scale = new double[n];
    for (int j = 0; j < n; j++) {
      double mean = 0;
      for (boolean[] row : x) {
        mean += row[j] ? 1.0 / m : 0;
      }
      scale[j] = Math.sqrt(mean * (1 - mean));
      for (int i = 0; i < m && scale[j] > 0; i++) {
        columns[j][i] = ((x[i][j] ? 1 : 0) - mean) / scale[j];
      }
    }
    double mean = Arrays.stream(y).average().orElse(0);
    double[] residual = Arrays.stream(y).map(value -> value - mean).toArray();
    double spread = Math.sqrt(Arrays.stream(residual).map(r -> r * r).average().orElse(0));
    double[] w = new double[n];
    double enough = TOLERANCE * spread;
    int[] all = IntStream.range(0, n).filter(j -> scale[j] > 0).toArray();
    for (int sweep = 0; sweep < SWEEPS && sweep(columns, residual, w, all, alpha) > enough; ) {
      // Few weights are not 0, hardly more than there are rows: until they rest, only they move.
      int[] active = Arrays.stream(all).filter(j -> w[j] != 0).toArray();
      do {
        sweep++;
      } while (sweep < SWEEPS && sweep(columns, residual, w, active, alpha) > enough);
    }
    for (int j = 0; j < n; j++) {
      w[j] = scale[j] > 0 ? w[j] / scale[j] : 0;
    }
    return w;
  }

  /** Sets some weights to their best values, one after the other; returns the largest change. */
  private static double sweep(
      double[][] columns, double[] residual, double[] w, int[] which, double alpha) {
    double largest = 0;
    for (int j : which) {
      largest = Math.max(largest, Math.abs(step(columns[j], residual, w, j, alpha)));
    }
    return largest;
  }

  /** Sets one weight to its best value, the others fixed; returns the change. */
  private static double step(double[] column, double[] residual, double[] w, int j, double alpha) {
    int m = residual.length;
    double rho = w[j]; // unit variance: the column's mean square is 1
    for (int i = 0; i < m; i++) {
      rho += column[i] * residual[i] / m;
    }
    double next = Math.signum(rho) * Math.max(0, Math.abs(rho) - alpha);
    double change = next - w[j];
    if (change != 0) {
      for (int i = 0; i < m; i++) {
        residual[i] -= change * column[i];
      }
      w[j] = next;
    }
    return change;
  }
}
