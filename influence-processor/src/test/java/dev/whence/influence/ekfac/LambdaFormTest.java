package dev.whence.influence.ekfac;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.training.LossWeights;
import dev.whence.influence.TinyFactors;
import dev.whence.influence.model.TappedModel;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Where Lambda by token is that by sequence. */
class LambdaFormTest {
  private static TappedModel model;

  @BeforeAll
  static void open() throws Exception {
    model = TinyFactors.base();
  }

  @AfterAll
  static void close() {
    model.close();
  }

  /**
   * The squared norm of a sequence's gradient is on average the sum of its tokens' only where
   * tokens do not meet again after the layer: their gradients are independent there, and 0 on
   * average.
   */
  @Test
  void perTokenIsExactAfterTheLastAttentionAndNotBeforeIt() throws Exception {
    var example =
        model.texts().document(TinyFactors.documents().get(3).text(), LossWeights.EVEN).get(0);
    LinearLayer down = layer("layers.1.mlp.down_proj");
    LinearLayer values = layer("layers.1.self_attn.v_proj");
    int draws = 150;
    double[] downRatio = ratio(example, down, draws);
    double[] valuesRatio = ratio(example, values, draws);
    assertThat(downRatio[0]).isCloseTo(1, within(4 * downRatio[1]));
    assertThat(downRatio[1]).isLessThan(0.1);
    assertThat(Math.abs(valuesRatio[0] - 1)).isGreaterThan(4 * valuesRatio[1]);
  }

  private static LinearLayer layer(String name) {
    return model.layers().stream()
        .filter(one -> one.name().endsWith(name))
        .findFirst()
        .orElseThrow();
  }

  /** Sum over draws of |G|^2, over the sum of |d|^2 |a|^2; and its standard error. */
  private static double[] ratio(
      dev.whence.engine.training.Example example, LinearLayer layer, int draws) {
    double[] sequence = new double[draws];
    double[] tokens = new double[draws];
    var pack = model.pack(List.of(example), 256).get(0);
    for (int draw = 0; draw < draws; draw++) {
      try (var taps = model.tap(pack, new LabelSeed(draw).of(pack, List.of(example)));
          var product = taps.gradient(layer).transposedTimes(taps.input(layer))) {
        for (double value : product.doubles()) {
          sequence[draw] += value * value;
        }
        float[] d = taps.gradient(layer).floats();
        float[] a = taps.input(layer).floats();
        for (int t = 0; t < d.length / layer.outputs(); t++) {
          tokens[draw] += square(d, t, layer.outputs()) * square(a, t, layer.inputs());
        }
      }
    }
    double mean = 0;
    for (double value : tokens) {
      mean += value / draws;
    }
    double ratio = 0;
    for (double value : sequence) {
      ratio += value / mean / draws;
    }
    double variance = 0;
    for (int i = 0; i < draws; i++) {
      variance += Math.pow((sequence[i] - ratio * tokens[i]) / mean, 2);
    }
    return new double[] {ratio, Math.sqrt(variance) / draws};
  }

  private static double square(float[] rows, int row, int width) {
    double sum = 0;
    for (int i = row * width; i < (row + 1) * width; i++) {
      sum += (double) rows[i] * rows[i];
    }
    return sum;
  }
}
