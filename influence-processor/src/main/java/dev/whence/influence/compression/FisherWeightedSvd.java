package dev.whence.influence.compression;

import dev.whence.engine.kernel.Matrices;
import dev.whence.engine.kernel.Matrix;
import java.util.ArrayList;
import java.util.List;

/**
 * Generalised Fisher-weighted SVD (GFWSVD, 2505.17974): the factors B [O, r] and A [r, I] of a
 * matrix W [O, I] whose product W' = B A costs least where the Fisher information of W is F (x) S,
 * with F [I, I] of inputs and S [O, O] of output gradients,
 *
 * <pre>
 *   e(W') = vec(W - W')' (F (x) S) vec(W - W') = |S^1/2 (W - W') F^1/2|^2,
 * </pre>
 *
 * twice the second order increase of the loss per token, in nats. By Eckart and Young the best
 * S^1/2 W' F^1/2 of rank r is M V V' with M = S^1/2 W F^1/2 and V [I, r] its first right singular
 * vectors, so
 *
 * <pre>
 *   B = W F^1/2 V,   A = V' F^-1/2,
 * </pre>
 *
 * which needs no root of S: V are eigenvectors of M' M = F^1/2 W' S W F^1/2. Several matrices that
 * read the same inputs (queries, keys and values; gate and up) are one problem: their M' M are
 * added, and they share A. With F and S the identity this is the truncated SVD.
 *
 * <p>Ours: joint factors of projections that share inputs. Cost: two eigendecompositions of [I, I]
 * in fp64, and 2 O I (O + 2 I) multiply-adds.
 */
public final class FisherWeightedSvd {
  /** Directions of F below this share of its largest eigenvalue are taken for that much. */
  private static final double FLOOR = 1e-9;

  private final Matrices matrices;

  /**
   * @param matrices stay the caller's
   */
  public FisherWeightedSvd(Matrices matrices) {
    this.matrices = matrices;
  }

  /**
   * A matrix and what output gradients say of it.
   *
   * @param outputs O
   * @param weight W [O, I], row by row
   * @param gradients S [O, O], row by row
   */
  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  public record Projection(int outputs, double[] weight, double[] gradients) {}

  /**
   * What is kept.
   *
   * @param first A [r, I], row by row
   * @param seconds B [O, r] of each projection, row by row
   * @param error e(W') of all projections together
   * @param size e(0): what leaving the product out would cost
   */
  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  public record Factored(double[] first, List<double[]> seconds, double error, double size) {
    public Factored {
      seconds = List.copyOf(seconds);
    }
  }

  /**
   * Factors projections of the same inputs.
   *
   * @param inputs I
   * @param fisher F [I, I], row by row
   * @param rank from 1 to I
   */
  public Factored factor(List<Projection> projections, int inputs, double[] fisher, int rank) {
    if (rank < 1 || rank > inputs) {
      throw new IllegalArgumentException("rank " + rank + " is not from 1 to " + inputs);
    }
    double[] gram = new double[inputs * inputs];
    double[] root = new double[inputs * inputs];
    double[] inverse = new double[inputs * inputs];
    roots(inputs, fisher, root, inverse);
    try (Matrix half = matrices.of(inputs, inputs, root);
        Matrix inverseHalf = matrices.of(inputs, inputs, inverse)) {
      for (Projection one : projections) {
        try (Matrix w = matrices.of(one.outputs(), inputs, one.weight());
            Matrix s = matrices.of(one.outputs(), one.outputs(), one.gradients());
            Matrix wf = w.times(half);
            Matrix swf = s.times(wf);
            Matrix part = wf.transposedTimes(swf)) {
          add(gram, part.doubles());
        }
      }
      try (Matrix sum = matrices.of(inputs, inputs, symmetric(gram, inputs))) {
        Matrix.Eigen eigen = sum.eigen();
        double error = 0;
        double size = 0;
        for (int i = 0; i < inputs; i++) {
          double value = Math.max(0, eigen.values()[i]);
          size += value;
          error += i < inputs - rank ? value : 0; // they ascend
        }
        double[] vectors;
        try (Matrix all = eigen.vectors()) {
          vectors = last(all.doubles(), inputs, rank);
        }
        try (Matrix v = matrices.of(inputs, rank, vectors);
            Matrix first = v.transposedTimes(inverseHalf);
            Matrix halfV = half.times(v)) {
          List<double[]> seconds = new ArrayList<>();
          for (Projection one : projections) {
            try (Matrix w = matrices.of(one.outputs(), inputs, one.weight());
                Matrix b = w.times(halfV)) {
              seconds.add(b.doubles());
            }
          }
          return new Factored(first.doubles(), seconds, error, size);
        }
      }
    }
  }

  /** F^1/2 and F^-1/2. */
  private void roots(int n, double[] fisher, double[] root, double[] inverse) {
    try (Matrix f = matrices.of(n, n, symmetric(fisher, n))) {
      Matrix.Eigen eigen = f.eigen();
      try (Matrix q = eigen.vectors()) {
        double largest = Math.max(eigen.values()[n - 1], Double.MIN_NORMAL / FLOOR);
        double[] vectors = q.doubles();
        double[] scaled = new double[vectors.length];
        double[] unscaled = new double[vectors.length];
        for (int i = 0; i < n; i++) {
          for (int j = 0; j < n; j++) {
            double half = Math.sqrt(Math.max(eigen.values()[j], FLOOR * largest));
            scaled[i * n + j] = vectors[i * n + j] * half;
            unscaled[i * n + j] = vectors[i * n + j] / half;
          }
        }
        try (Matrix up = matrices.of(n, n, scaled);
            Matrix down = matrices.of(n, n, unscaled);
            Matrix half = up.timesTransposed(q);
            Matrix inverseHalf = down.timesTransposed(q)) {
          System.arraycopy(half.doubles(), 0, root, 0, root.length);
          System.arraycopy(inverseHalf.doubles(), 0, inverse, 0, inverse.length);
        }
      }
    }
  }

  private static void add(double[] sum, double[] part) {
    for (int i = 0; i < sum.length; i++) {
      sum[i] += part[i];
    }
  }

  /** What rounding has made unsymmetric is not. */
  private static double[] symmetric(double[] matrix, int n) {
    double[] result = new double[matrix.length];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        result[i * n + j] = (matrix[i * n + j] + matrix[j * n + i]) / 2;
      }
    }
    return result;
  }

  /** The last columns [n, rank]. */
  private static double[] last(double[] matrix, int n, int rank) {
    double[] columns = new double[n * rank];
    for (int i = 0; i < n; i++) {
      System.arraycopy(matrix, i * n + n - rank, columns, i * rank, rank);
    }
    return columns;
  }
}
