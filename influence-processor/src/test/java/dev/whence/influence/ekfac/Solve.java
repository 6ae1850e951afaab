package dev.whence.influence.ekfac;

/** Dense linear algebra in double, as a textbook writes it, for comparison. */
public final class Solve {
  private Solve() {}

  /** Solves a system with a symmetric positive definite matrix, by Cholesky. */
  public static double[] symmetric(double[][] matrix, double[] right) {
    return solve(cholesky(matrix), right);
  }

  /** The lower factor; throws if the matrix is not positive definite. */
  public static double[][] cholesky(double[][] matrix) {
    int n = matrix.length;
    double[][] l = new double[n][n];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j <= i; j++) {
        double sum = matrix[i][j];
        double[] a = l[i];
        double[] b = l[j];
        for (int k = 0; k < j; k++) {
          sum -= a[k] * b[k];
        }
        if (i == j) {
          if (!(sum > 0)) {
            throw new ArithmeticException("not positive definite at " + i + ": " + sum);
          }
          l[i][i] = Math.sqrt(sum);
        } else {
          l[i][j] = sum / l[j][j];
        }
      }
    }
    return l;
  }

  /** Solves with a lower factor. */
  public static double[] solve(double[][] l, double[] right) {
    int n = l.length;
    double[] x = right.clone();
    for (int i = 0; i < n; i++) {
      for (int k = 0; k < i; k++) {
        x[i] -= l[i][k] * x[k];
      }
      x[i] /= l[i][i];
    }
    for (int i = n - 1; i >= 0; i--) {
      for (int k = i + 1; k < n; k++) {
        x[i] -= l[k][i] * x[k];
      }
      x[i] /= l[i][i];
    }
    return x;
  }
}
