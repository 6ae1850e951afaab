package dev.whence.influence.ekfac;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.EngineOptions;
import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Matrices;
import dev.whence.engine.kernel.Matrix;
import dev.whence.engine.kernel.Taps;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Where EK-FAC is exact, it must be: one layer, tokens whose moments are known. */
class EkfacExactnessTest {
  private static Matrices matrices;

  @BeforeAll
  static void open() {
    matrices = Matrices.open(EngineOptions.defaults().withDevice("cpu"));
  }

  @AfterAll
  static void close() {
    matrices.close();
  }

  /** Inputs and output gradients of tokens, and which rows are a sequence. */
  private record Tokens(
      int inputs, int outputs, List<float[]> a, List<float[]> d, int perSequence) {
    LinearLayer layer() {
      return new LinearLayer("layer", inputs, outputs, false, 0, 0);
    }

    Matrix matrix(List<float[]> rows, int columns) {
      float[] all = new float[rows.size() * columns];
      for (int i = 0; i < rows.size(); i++) {
        System.arraycopy(rows.get(i), 0, all, i * columns, columns);
      }
      return matrices.of(rows.size(), columns, all);
    }

    List<Taps.Run> runs() {
      List<Taps.Run> runs = new ArrayList<>();
      for (int from = 0; from < a.size(); from += perSequence) {
        runs.add(new Taps.Run(runs.size(), from, from + perSequence));
      }
      return runs;
    }

    /** (H + damping)^-1 G by EK-FAC, as the product computes it. */
    double[] inverse(double[] gradient, double damping, LambdaForm form, long tokens) {
      LinearLayer layer = layer();
      try (Matrix inputsOf = matrix(a, inputs);
          Matrix gradientsOf = matrix(d, outputs);
          Covariances covariances = new Covariances(List.of(layer), matrices)) {
        covariances.inputs(layer).addGram(inputsOf);
        covariances.gradients(layer).addGram(gradientsOf);
        try (Eigenbases bases = Eigenbases.of(List.of(layer), covariances, () -> {});
            LambdaSums sums = new LambdaSums(List.of(layer), bases, form, matrices);
            Matrix qa = bases.inputs(layer).inSingle();
            Matrix qs = bases.gradients(layer).inSingle();
            Matrix rotatedInputs = inputsOf.times(qa);
            Matrix rotatedGradients = gradientsOf.times(qs)) {
          sums.add(layer, rotatedGradients, rotatedInputs, runs());
          double[] lambda = sums.sum(layer).doubles();
          try (Matrix g = matrices.of(outputs, inputs, gradient);
              Matrix left = bases.gradients(layer).transposedTimes(g);
              Matrix rotated = left.times(bases.inputs(layer))) {
            double[] values = rotated.doubles();
            for (int i = 0; i < values.length; i++) {
              values[i] /= lambda[i] / tokens + damping;
            }
            try (Matrix divided = matrices.of(outputs, inputs, values);
                Matrix back = bases.gradients(layer).times(divided);
                Matrix result = back.timesTransposed(bases.inputs(layer))) {
              return result.doubles();
            }
          }
        }
      }
    }
  }

  private static float[] random(Random random, int n) {
    float[] values = new float[n];
    for (int i = 0; i < n; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  /**
   * y = W a with loss |y - t|^2 / 2: H = E[a a'] (x) I, whatever the targets. Targets drawn from
   * the model give output gradients with E[d d'] = I; here d runs through sqrt(O) e_1 .. sqrt(O)
   * e_O, which has that moment exactly.
   */
  @Test
  void aLinearModelWithSquaredLossGivesTheGaussNewtonMatrix() {
    int inputs = 5;
    int outputs = 3;
    Random random = new Random(1);
    List<float[]> a = new ArrayList<>();
    List<float[]> d = new ArrayList<>();
    double[][] h = new double[inputs][inputs];
    int tokens = 40;
    for (int t = 0; t < tokens; t++) {
      float[] input = random(random, inputs);
      input[1] += 2 * input[0]; // correlated
      for (int o = 0; o < outputs; o++) {
        float[] gradient = new float[outputs];
        gradient[o] = (float) Math.sqrt(outputs);
        a.add(input);
        d.add(gradient);
      }
      for (int i = 0; i < inputs; i++) {
        for (int j = 0; j < inputs; j++) {
          h[i][j] += (double) input[i] * input[j] / tokens;
        }
      }
    }
    double damping = 0.3;
    double[] gradient = random.doubles((long) inputs * outputs, -1, 1).toArray();
    double[] found =
        new Tokens(inputs, outputs, a, d, 1)
            .inverse(gradient, damping, LambdaForm.PER_SEQUENCE, (long) tokens * outputs);
    // row by row: (A + damping)^-1 applied to each output's gradient
    for (int i = 0; i < inputs; i++) {
      h[i][i] += damping;
    }
    for (int o = 0; o < outputs; o++) {
      double[] row = new double[inputs];
      System.arraycopy(gradient, o * inputs, row, 0, inputs);
      double[] expected = Solve.symmetric(h, row);
      for (int i = 0; i < inputs; i++) {
        assertThat(found[o * inputs + i]).isCloseTo(expected[i], within(2e-5));
      }
    }
  }

  /** One input, p = (1/2, 1/4, 1/4): H = (diag(p) - p p') (x) a a', exactly of Kronecker form. */
  @Test
  void softmaxOnOneExampleGivesTheFisherInformation() {
    int inputs = 4;
    double[] p = {0.5, 0.25, 0.25};
    int[] labels = {0, 0, 1, 2};
    Random random = new Random(2);
    float[] input = random(random, inputs);
    List<float[]> a = new ArrayList<>();
    List<float[]> d = new ArrayList<>();
    for (int label : labels) {
      float[] gradient = new float[3];
      for (int o = 0; o < 3; o++) {
        gradient[o] = (float) (p[o] - (o == label ? 1 : 0));
      }
      a.add(input);
      d.add(gradient);
    }
    double damping = 0.05;
    double[] gradient = random.doubles(3L * inputs, -1, 1).toArray();
    double[] found =
        new Tokens(inputs, 3, a, d, 1).inverse(gradient, damping, LambdaForm.PER_SEQUENCE, 4);
    int n = 3 * inputs;
    double[][] h = new double[n][n];
    for (int x = 0; x < n; x++) {
      for (int y = 0; y < n; y++) {
        int o = x / inputs;
        int q = y / inputs;
        double s = (o == q ? p[o] : 0) - p[o] * p[q];
        h[x][y] = s * input[x % inputs] * input[y % inputs] + (x == y ? damping : 0);
      }
    }
    double[] expected = Solve.symmetric(h, gradient);
    for (int i = 0; i < n; i++) {
      assertThat(found[i]).isCloseTo(expected[i], within(4e-4));
    }
  }

  /** Lambda is diag(K' F K), K = Q_S (x) Q_A and F the sum over sequences of g g'. */
  @Test
  void lambdaPerSequenceIsTheDiagonalOfTheFisherInTheEigenbasis() {
    Random random = new Random(3);
    int inputs = 4;
    int outputs = 3;
    List<float[]> a = new ArrayList<>();
    List<float[]> d = new ArrayList<>();
    for (int t = 0; t < 60; t++) {
      a.add(random(random, inputs));
      d.add(random(random, outputs));
    }
    Tokens tokens = new Tokens(inputs, outputs, a, d, 5);
    int n = inputs * outputs;
    double[][] f = new double[n][n];
    for (Taps.Run run : tokens.runs()) {
      double[] g = new double[n];
      for (int t = run.from(); t < run.to(); t++) {
        for (int i = 0; i < n; i++) {
          g[i] += (double) d.get(t)[i / inputs] * a.get(t)[i % inputs];
        }
      }
      for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
          f[i][j] += g[i] * g[j];
        }
      }
    }
    LinearLayer layer = tokens.layer();
    try (Matrix inputsOf = tokens.matrix(a, inputs);
        Matrix gradientsOf = tokens.matrix(d, outputs);
        Covariances covariances = new Covariances(List.of(layer), matrices)) {
      covariances.inputs(layer).addGram(inputsOf);
      covariances.gradients(layer).addGram(gradientsOf);
      try (Eigenbases bases = Eigenbases.of(List.of(layer), covariances, () -> {});
          LambdaSums sums =
              new LambdaSums(List.of(layer), bases, LambdaForm.PER_SEQUENCE, matrices);
          LambdaSums perToken =
              new LambdaSums(List.of(layer), bases, LambdaForm.PER_TOKEN, matrices);
          Matrix qa = bases.inputs(layer).inSingle();
          Matrix qs = bases.gradients(layer).inSingle();
          Matrix rotatedInputs = inputsOf.times(qa);
          Matrix rotatedGradients = gradientsOf.times(qs)) {
        sums.add(layer, rotatedGradients, rotatedInputs, tokens.runs());
        perToken.add(layer, rotatedGradients, rotatedInputs, tokens.runs());
        double[] lambda = sums.sum(layer).doubles();
        double[] q = bases.gradients(layer).doubles();
        double[] r = bases.inputs(layer).doubles();
        double difference = 0;
        for (int o = 0; o < outputs; o++) {
          for (int i = 0; i < inputs; i++) {
            double expected = 0;
            for (int x = 0; x < n; x++) {
              for (int y = 0; y < n; y++) {
                double kx = q[(x / inputs) * outputs + o] * r[(x % inputs) * inputs + i];
                double ky = q[(y / inputs) * outputs + o] * r[(y % inputs) * inputs + i];
                expected += kx * f[x][y] * ky;
              }
            }
            assertThat(lambda[o * inputs + i]).isCloseTo(expected, within(1e-4 * expected));
            difference +=
                Math.abs(perToken.sum(layer).doubles()[o * inputs + i] - expected) / expected;
          }
        }
        assertThat(difference / n)
            .as("sequences of five tokens with gradients of their own: per token is another thing")
            .isGreaterThan(0.05);
      }
    }
  }
}
