package dev.whence.influence.compression;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.kernel.LinearLayer;
import dev.whence.influence.SampleCorpus;
import dev.whence.influence.TinyFactors;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.ekfac.FactorsJob;
import dev.whence.influence.model.LayerSelection;
import dev.whence.influence.model.TappedModel;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class KroneckerFisherTest {
  private static final LayerSelection LAST = new LayerSelection("layers\\.1\\..*(q|k|v|up)_proj");

  @TempDir private static Path directory;
  private static TappedModel model;
  private static EkfacFactors factors;

  @BeforeAll
  static void compute() throws Exception {
    Path files = BiasedModel.write(directory.resolve("qwen2"), 0.5);
    model = TappedModel.open(files, LAST, TinyFactors.CPU);
    model.workAloneIfSmall();
    factors =
        EkfacFactors.read(
            TinyFactors.compute(
                model,
                SampleCorpus.write(directory.resolve("corpus.jsonl"), TinyFactors.documents()),
                directory.resolve("factors"),
                FactorsJob.Options.DEFAULT.withSelection(LAST).withPackTokens(512)),
            model.matrices());
  }

  @AfterAll
  static void close() {
    factors.close();
    model.close();
  }

  private static LinearLayer layer(String ending) {
    return factors.layers().stream()
        .filter(layer -> layer.name().endsWith(ending))
        .findFirst()
        .orElseThrow();
  }

  /** Q diag(values) Q', entry by entry, of the first {@code kept} rows and columns. */
  private static double[] dense(double[] q, double[] values, int kept) {
    int n = values.length;
    double[] result = new double[kept * kept];
    for (int i = 0; i < kept; i++) {
      for (int j = 0; j < kept; j++) {
        for (int k = 0; k < n; k++) {
          result[i * kept + j] += q[i * n + k] * values[k] * q[j * n + k];
        }
      }
    }
    return result;
  }

  private static double largest(double[] values) {
    double largest = 0;
    for (double value : values) {
      largest = Math.max(largest, Math.abs(value));
    }
    return largest;
  }

  private static void assertSame(double[] found, double[] expected) {
    assertThat(found).hasSameSizeAs(expected);
    double scale = largest(expected);
    assertThat(scale).isPositive();
    for (int i = 0; i < found.length; i++) {
      assertThat(found[i]).as("entry %d", i).isCloseTo(expected[i], within(1e-9 * scale));
    }
  }

  /**
   * The first left singular vector of Lambda, by more rounds from another start than the code has.
   */
  private static double[] leftSingular(double[] lambda, int rows, int columns) {
    double[] s = new double[rows];
    Random random = new Random(1);
    for (int i = 0; i < rows; i++) {
      s[i] = random.nextDouble();
    }
    for (int round = 0; round < 500; round++) {
      double[] f = new double[columns];
      for (int i = 0; i < rows; i++) {
        for (int j = 0; j < columns; j++) {
          f[j] += lambda[i * columns + j] * s[i];
        }
      }
      double norm = 0;
      double[] next = new double[rows];
      for (int i = 0; i < rows; i++) {
        for (int j = 0; j < columns; j++) {
          next[i] += lambda[i * columns + j] * f[j];
        }
        norm += next[i] * next[i];
      }
      for (int i = 0; i < rows; i++) {
        s[i] = next[i] / Math.sqrt(norm);
      }
    }
    return s;
  }

  @Test
  void ofOneLayerItIsTheDenseProductOfTheNearestOuterProduct() {
    LinearLayer up = layer("up_proj");
    assertThat(up.bias()).isFalse();
    int rows = up.outputs();
    int columns = up.inputs();
    double[] lambda = factors.lambda(up);
    double[] s = leftSingular(lambda, rows, columns);
    double[] f = new double[columns];
    for (int i = 0; i < rows; i++) {
      for (int j = 0; j < columns; j++) {
        f[j] += lambda[i * columns + j] * s[i];
      }
    }
    KroneckerFisher found = KroneckerFisher.of(factors, List.of(up), model.matrices());
    // Only the product of the two is given: one may be so much larger as the other is smaller.
    double[] inputs = dense(factors.inputVectors(up).doubles(), f, columns);
    double[] gradients = dense(factors.gradientVectors(up).doubles(), s, rows);
    double ratio = largest(inputs) / largest(found.inputs());
    assertSame(scaled(found.inputs(), ratio), inputs);
    assertSame(scaled(found.gradients().get(0), 1 / ratio), gradients);
  }

  private static double[] scaled(double[] values, double factor) {
    double[] result = values.clone();
    for (int i = 0; i < result.length; i++) {
      result[i] *= factor;
    }
    return result;
  }

  @Test
  void layersThatReadTheSameInputsShareItAndTheBiasIsLeftOut() {
    List<LinearLayer> layers = List.of(layer("q_proj"), layer("k_proj"), layer("v_proj"));
    int columns = layers.get(0).inputs();
    assertThat(layers).allMatch(LinearLayer::bias);
    KroneckerFisher found = KroneckerFisher.of(factors, layers, model.matrices());
    assertThat(found.inputs()).hasSize((columns - 1) * (columns - 1));
    int rows = layers.stream().mapToInt(LinearLayer::outputs).sum();
    double[] stacked = new double[rows * columns];
    int at = 0;
    for (LinearLayer one : layers) {
      double[] lambda = factors.lambda(one);
      System.arraycopy(lambda, 0, stacked, at, lambda.length);
      at += lambda.length;
    }
    double[] s = leftSingular(stacked, rows, columns);
    double[] f = new double[columns];
    for (int i = 0; i < rows; i++) {
      for (int j = 0; j < columns; j++) {
        f[j] += stacked[i * columns + j] * s[i];
      }
    }
    double[] inputs = dense(factors.inputVectors(layers.get(0)).doubles(), f, columns - 1);
    double ratio = largest(inputs) / largest(found.inputs());
    assertSame(scaled(found.inputs(), ratio), inputs);
    int from = 0;
    for (int i = 0; i < layers.size(); i++) {
      int outputs = layers.get(i).outputs();
      double[] own = new double[outputs];
      System.arraycopy(s, from, own, 0, outputs);
      from += outputs;
      assertSame(
          scaled(found.gradients().get(i), 1 / ratio),
          dense(factors.gradientVectors(layers.get(i)).doubles(), own, outputs));
    }
  }
}
