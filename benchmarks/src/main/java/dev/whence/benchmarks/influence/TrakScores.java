package dev.whence.benchmarks.influence;

import java.util.Arrays;
import java.util.function.Function;

/**
 * A random projection of gradients with the inverse of their own second moments, as in TRAK
 * (2303.14186, section 3), of one model: phi_q' (Phi' Phi + epsilon)^-1 phi_i = [(Phi Phi' +
 * epsilon)^-1 Phi phi_q]_i, by conjugate gradients over documents. TRAK's ensemble of models and
 * its weights 1 - p of documents are left out.
 *
 * @param corpus sketches of plain gradients
 * @param query the response's, sketched alike
 */
record TrakScores(SketchedCorpus corpus, Function<TruthQuery, float[]> query)
    implements DocumentScores {
  private static final int ITERATIONS = 30;
  private static final double RIDGE = 0.1;
  private static final double TOLERANCE = 1e-2;

  @Override
  public String name() {
    return "random projection (TRAK-like)";
  }

  @Override
  public double[] of(TruthQuery asked) {
    double[] right = corpus.products(query.apply(asked));
    double epsilon = RIDGE * Arrays.stream(corpus.norms()).map(n -> n * n).average().orElseThrow();
    double[] solution = new double[right.length];
    double[] residual = right.clone();
    double[] direction = right.clone();
    double square = dot(residual, residual);
    double enough = TOLERANCE * TOLERANCE * square;
    for (int i = 0; i < ITERATIONS && square > enough; i++) {
      double[] image = gram(direction);
      for (int j = 0; j < image.length; j++) {
        image[j] += epsilon * direction[j];
      }
      double step = square / dot(direction, image);
      for (int j = 0; j < image.length; j++) {
        solution[j] += step * direction[j];
        residual[j] -= step * image[j];
      }
      double next = dot(residual, residual);
      for (int j = 0; j < image.length; j++) {
        direction[j] = residual[j] + next / square * direction[j];
      }
      square = next;
    }
    return solution;
  }

  /** Phi Phi' x. */
  private double[] gram(double[] x) {
    float[] sum = new float[corpus.sketch().buckets()];
    for (int i = 0; i < x.length; i++) {
      float[] vector = corpus.vectors()[i];
      float weight = (float) x[i];
      for (int j = 0; j < sum.length; j++) {
        sum[j] += weight * vector[j];
      }
    }
    return corpus.products(sum);
  }

  private static double dot(double[] x, double[] y) {
    double sum = 0;
    for (int i = 0; i < x.length; i++) {
      sum += x[i] * y[i];
    }
    return sum;
  }
}
