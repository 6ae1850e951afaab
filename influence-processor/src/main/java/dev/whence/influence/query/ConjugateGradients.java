package dev.whence.influence.query;

import dev.whence.influence.InfluenceException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.UnaryOperator;

/**
 * Preconditioned conjugate gradients: x of M x = b, for M symmetric and positive definite,
 * beginning at P^-1 b, in fp64. Each iteration makes the error, measured by M, the least that is
 * possible in the span of the search directions so far; with a preconditioner P near M few are
 * needed (Hestenes and Stiefel 1952; Golub and Van Loan, Matrix Computations, section 11.5).
 *
 * <p>Vectors are layers' matrices by name. Cost: one product with M and one with P^-1 per
 * iteration, one of each before.
 */
public final class ConjugateGradients {
  private ConjugateGradients() {}

  /**
   * What was found.
   *
   * @param solution x
   * @param residuals |b - M x| / |b|, of P^-1 b and after each iteration
   */
  public record Solved(Map<String, double[]> solution, List<Double> residuals) {
    public Solved {
      residuals = List.copyOf(residuals);
    }
  }

  /**
   * Solves.
   *
   * @param matrix M times a vector
   * @param inverse P^-1 times a vector
   * @param iterations at least 1; fewer where nothing is left to gain
   * @throws InfluenceException if M is not positive definite, or numbers overflow
   */
  public static Solved solve(
      UnaryOperator<Map<String, double[]>> matrix,
      UnaryOperator<Map<String, double[]>> inverse,
      Map<String, double[]> b,
      int iterations) {
    Map<String, double[]> x = inverse.apply(b);
    Map<String, double[]> r = copy(b);
    add(r, -1, matrix.apply(x));
    double scale = Math.sqrt(dot(b, b));
    List<Double> residuals = new ArrayList<>();
    residuals.add(Math.sqrt(dot(r, r)) / scale);
    Map<String, double[]> z = inverse.apply(r);
    Map<String, double[]> p = copy(z);
    double rz = dot(r, z);
    for (int i = 0; i < iterations && rz > 0; i++) {
      Map<String, double[]> image = matrix.apply(p);
      double curvature = dot(p, image);
      if (!(curvature > 0) || Double.isInfinite(curvature)) {
        throw new InfluenceException(
            "The sampled Fisher plus lambda is not positive in a direction of the search ("
                + curvature
                + "): choose a larger lambda.");
      }
      double step = rz / curvature;
      add(x, step, p);
      add(r, -step, image);
      residuals.add(Math.sqrt(dot(r, r)) / scale);
      z = inverse.apply(r);
      double next = dot(r, z);
      double beta = next / rz;
      rz = next;
      Map<String, double[]> direction = copy(z);
      add(direction, beta, p);
      p = direction;
    }
    return new Solved(x, residuals);
  }

  static double dot(Map<String, double[]> x, Map<String, double[]> y) {
    double sum = 0;
    for (Map.Entry<String, double[]> entry : x.entrySet()) {
      double[] left = entry.getValue();
      double[] right = Objects.requireNonNull(y.get(entry.getKey()), entry.getKey());
      for (int i = 0; i < left.length; i++) {
        sum += left[i] * right[i];
      }
    }
    return sum;
  }

  private static void add(Map<String, double[]> x, double factor, Map<String, double[]> y) {
    x.forEach(
        (name, values) -> {
          double[] more = Objects.requireNonNull(y.get(name), name);
          for (int i = 0; i < values.length; i++) {
            values[i] += factor * more[i];
          }
        });
  }

  private static Map<String, double[]> copy(Map<String, double[]> x) {
    Map<String, double[]> copy = new LinkedHashMap<>();
    x.forEach((name, values) -> copy.put(name, values.clone()));
    return copy;
  }
}
