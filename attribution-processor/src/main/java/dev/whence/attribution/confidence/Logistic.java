package dev.whence.attribution.confidence;

import java.util.List;

/**
 * Logistic regression with a ridge, fitted by Newton's method (iteratively reweighted least
 * squares), on features that are brought to mean 0 and variance 1:
 *
 * <pre>
 *   maximise  sum_i log sigma(y_i z_i) - (ridge / 2) |w|^2,   z_i = w' x_i + b,  y_i = 1 or -1
 * </pre>
 *
 * <p>The intercept is not shrunk. Deterministic; N d^2 operations per step, a dozen steps.
 */
final class Logistic {
  private static final double RIDGE = 1;
  private static final int MOST_STEPS = 50;
  private static final double CLOSE = 1e-9;

  private final double[] mean;
  private final double[] scale;

  /** Of each feature, then the intercept. */
  private final double[] weights;

  private Logistic(double[] mean, double[] scale, double[] weights) {
    this.mean = mean;
    this.scale = scale;
    this.weights = weights;
  }

  /** Fits pairs; at least one. */
  static Logistic fit(List<Calibration.Pair> pairs) {
    int d = pairs.get(0).features().length;
    double[] mean = new double[d];
    double[] scale = new double[d];
    for (int j = 0; j < d; j++) {
      int column = j;
      mean[j] = pairs.stream().mapToDouble(pair -> pair.features()[column]).average().orElse(0);
      double variance =
          pairs.stream()
              .mapToDouble(pair -> Math.pow(pair.features()[column] - mean[column], 2))
              .average()
              .orElse(0);
      scale[j] = variance > 1e-12 ? 1 / Math.sqrt(variance) : 0;
    }
    Logistic model = new Logistic(mean, scale, new double[d + 1]);
    double[][] rows =
        pairs.stream().map(pair -> model.row(pair.features())).toArray(double[][]::new);
    for (int step = 0; step < MOST_STEPS; step++) {
      if (model.newton(rows, pairs) < CLOSE) {
        break;
      }
    }
    return model;
  }

  private double[] row(double[] features) {
    double[] row = new double[mean.length + 1];
    for (int j = 0; j < mean.length; j++) {
      row[j] = (features[j] - mean[j]) * scale[j];
    }
    row[mean.length] = 1;
    return row;
  }

  /** One step; returns its length. */
  private double newton(double[][] rows, List<Calibration.Pair> pairs) {
    int size = weights.length;
    double[][] system = new double[size][size + 1];
    for (int i = 0; i < rows.length; i++) {
      double[] row = rows[i];
      double p = 1 / (1 + Math.exp(-dot(row)));
      double curvature = Math.max(p * (1 - p), 1e-6);
      double error = (pairs.get(i).agreed() ? 1 : 0) - p;
      for (int a = 0; a < size; a++) {
        for (int b = 0; b < size; b++) {
          system[a][b] += curvature * row[a] * row[b];
        }
        system[a][size] += error * row[a];
      }
    }
    for (int a = 0; a < size - 1; a++) {
      system[a][a] += RIDGE;
      system[a][size] -= RIDGE * weights[a];
    }
    double[] step = solve(system);
    double length = 0;
    for (int a = 0; a < size; a++) {
      weights[a] += step[a];
      length += step[a] * step[a];
    }
    return Math.sqrt(length);
  }

  private double dot(double[] row) {
    double sum = 0;
    for (int j = 0; j < row.length; j++) {
      sum += weights[j] * row[j];
    }
    return sum;
  }

  /** Gauss elimination with pivots; the matrix is positive definite. */
  private static double[] solve(double[][] system) {
    int n = system.length;
    for (int column = 0; column < n; column++) {
      int pivot = column;
      for (int row = column + 1; row < n; row++) {
        if (Math.abs(system[row][column]) > Math.abs(system[pivot][column])) {
          pivot = row;
        }
      }
      double[] swap = system[column];
      system[column] = system[pivot];
      system[pivot] = swap;
      for (int row = column + 1; row < n; row++) {
        double factor = system[row][column] / system[column][column];
        for (int j = column; j <= n; j++) {
          system[row][j] -= factor * system[column][j];
        }
      }
    }
    double[] solution = new double[n];
    for (int row = n - 1; row >= 0; row--) {
      double sum = system[row][n];
      for (int j = row + 1; j < n; j++) {
        sum -= system[row][j] * solution[j];
      }
      solution[row] = sum / system[row][row];
    }
    return solution;
  }

  /** z: the log-odds of agreement. */
  double logOdds(double[] features) {
    return dot(row(features));
  }
}
