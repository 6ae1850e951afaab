package dev.whence.influence.compression;

import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Matrices;
import dev.whence.engine.kernel.Matrix;
import dev.whence.influence.ekfac.EkfacFactors;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The Kronecker product F (x) S that is nearest to EK-FAC's Fisher information of projections that
 * read the same inputs: in the eigenbasis Lambda [O, I] is fitted by s f', least squares (the
 * nearest Kronecker product, as GFWSVD has it, 2505.17974, section 3; Van Loan and Pitsianis 1993),
 * f shared by all of them. Then F = Q_A diag(f) Q_A', S = Q_S diag(s) Q_S'.
 *
 * <p>The bias, whose input is 1, is not compressed: F has the weights' columns only.
 *
 * @param inputs F [I, I], row by row
 * @param gradients S [O, O] of each projection, row by row
 */
@SuppressWarnings("ArrayRecordComponent") // compared nowhere
public record KroneckerFisher(double[] inputs, List<double[]> gradients) {
  private static final int ROUNDS = 100;

  public KroneckerFisher {
    gradients = List.copyOf(gradients);
  }

  /** That of layers of one product. */
  public static KroneckerFisher of(
      EkfacFactors factors, List<LinearLayer> layers, Matrices matrices) {
    int columns = layers.get(0).inputs();
    int rows = layers.stream().mapToInt(LinearLayer::outputs).sum();
    double[] lambda = new double[rows * columns];
    int at = 0;
    for (LinearLayer layer : layers) {
      double[] part = factors.lambda(layer);
      System.arraycopy(part, 0, lambda, at, part.length);
      at += part.length;
    }
    double[] f = new double[columns];
    double[] s = new double[rows];
    fit(lambda, s, f);
    int weights = layers.get(0).bias() ? columns - 1 : columns;
    double[] inputs =
        corner(product(factors.inputVectors(layers.get(0)), f, matrices), columns, weights);
    List<double[]> gradients = new ArrayList<>();
    int from = 0;
    for (LinearLayer layer : layers) {
      double[] own = Arrays.copyOfRange(s, from, from + layer.outputs());
      gradients.add(product(factors.gradientVectors(layer), own, matrices));
      from += layer.outputs();
    }
    return new KroneckerFisher(inputs, gradients);
  }

  /**
   * The s and f with the least |Lambda - s f'|^2, by alternating least squares; both are at least 0
   * where Lambda is.
   */
  static void fit(double[] lambda, double[] s, double[] f) {
    Arrays.fill(f, 1);
    for (int round = 0; round < ROUNDS; round++) {
      double squares = 0;
      for (double value : f) {
        squares += value * value;
      }
      for (int i = 0; i < s.length; i++) {
        double sum = 0;
        for (int j = 0; j < f.length; j++) {
          sum += lambda[i * f.length + j] * f[j];
        }
        s[i] = squares == 0 ? 0 : sum / squares;
      }
      squares = 0;
      for (double value : s) {
        squares += value * value;
      }
      for (int j = 0; j < f.length; j++) {
        double sum = 0;
        for (int i = 0; i < s.length; i++) {
          sum += lambda[i * f.length + j] * s[i];
        }
        f[j] = squares == 0 ? 0 : sum / squares;
      }
    }
  }

  /** Q diag(values) Q'. */
  private static double[] product(Matrix q, double[] values, Matrices matrices) {
    int n = values.length;
    double[] scaled = q.doubles();
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        scaled[i * n + j] *= values[j];
      }
    }
    try (Matrix left = matrices.of(n, n, scaled);
        Matrix both = left.timesTransposed(q)) {
      return both.doubles();
    }
  }

  private static double[] corner(double[] matrix, int n, int kept) {
    double[] corner = new double[kept * kept];
    for (int i = 0; i < kept; i++) {
      System.arraycopy(matrix, i * n, corner, i * kept, kept);
    }
    return corner;
  }
}
