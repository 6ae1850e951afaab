package dev.whence.engine.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.EngineOptions;
import dev.whence.engine.kernel.ParameterLayout.Parameter;
import dev.whence.engine.training.GradientFixture.Expected;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Losses and gradients of every family. */
class GradientTest {
  private static final TrainingOptions OPTIONS =
      TrainingOptions.of(new Schedule.Constant(1e-3, 0))
          .withEngine(EngineOptions.defaults().withDevice("cpu"));

  static List<String> families() {
    return GradientFixture.names();
  }

  @ParameterizedTest
  @MethodSource("families")
  void lossAndGradientsAreThoseOfTransformers(String family) {
    GradientFixture fixture = GradientFixture.read(family);
    try (Trainer trainer = fixture.trainer(OPTIONS)) {
      assertThat(loss(trainer, fixture.examples())).isCloseTo(fixture.loss(), within(1e-4));
      Map<String, float[]> gradients = trainer.gradients(fixture.examples());
      assertThat(gradients.keySet()).isEqualTo(fixture.gradients().keySet());
      gradients.forEach(
          (name, gradient) -> {
            Expected expected = fixture.gradients().get(name);
            // a key's bias moves all scores of a query alike: its gradient is zero but for rounding
            double scale = Math.max(expected.norm(), 1e-2);
            assertThat(norm(gradient))
                .as("norm of %s", name)
                .isCloseTo(expected.norm(), within(2e-4 * scale));
            for (int i = 0; i < expected.places().size(); i++) {
              assertThat((double) gradient[expected.places().get(i)])
                  .as("%s at %d", name, expected.places().get(i))
                  .isCloseTo(expected.values().get(i), within(2e-4 * scale));
            }
          });
    }
  }

  @ParameterizedTest
  @MethodSource("families")
  void eachGradientIsWhatTheLossDoesWhenItsParameterMoves(String family) {
    GradientFixture fixture = GradientFixture.read(family);
    try (Trainer trainer = fixture.trainer(OPTIONS)) {
      Map<String, float[]> gradients = trainer.gradients(fixture.examples());
      for (Parameter parameter : trainer.parameters()) {
        float[] gradient = gradients.get(parameter.name());
        double norm = norm(gradient);
        if (norm < 1e-2) {
          continue; // below what fp32 losses can tell
        }
        float[] values = trainer.values(parameter);
        Random random = new Random(parameter.name().hashCode());
        double[] direction = new double[gradient.length];
        double slope = 0;
        for (int i = 0; i < direction.length; i++) {
          direction[i] =
              gradient[i] / norm + random.nextGaussian() / Math.sqrt(direction.length) / 2;
          slope += direction[i] * gradient[i];
        }
        // central differences at two widths: Richardson's extrapolation takes the cubic term away
        double wide = difference(trainer, parameter, values, direction, fixture.examples(), 0.04);
        double narrow = difference(trainer, parameter, values, direction, fixture.examples(), 0.02);
        assertThat((4 * narrow - wide) / 3)
            .as(parameter.name())
            .isCloseTo(slope, within(0.02 * Math.abs(slope) + 1e-3));
        trainer.setValues(parameter, values);
      }
    }
  }

  private static double difference(
      Trainer trainer,
      Parameter parameter,
      float[] values,
      double[] direction,
      List<Example> examples,
      double width) {
    double[] losses = new double[2];
    for (int side = 0; side < 2; side++) {
      float[] moved = new float[values.length];
      for (int i = 0; i < moved.length; i++) {
        moved[i] = (float) (values[i] + (side == 0 ? width : -width) * direction[i]);
      }
      trainer.setValues(parameter, moved);
      losses[side] = loss(trainer, examples);
    }
    return (losses[0] - losses[1]) / (2 * width);
  }

  @ParameterizedTest
  @MethodSource("families")
  void howExamplesArePackedChangesNothing(String family) {
    GradientFixture fixture = GradientFixture.read(family);
    List<Example> other = new ArrayList<>(fixture.examples());
    Collections.reverse(other);
    try (Trainer trainer = fixture.trainer(OPTIONS);
        Trainer alone = fixture.trainer(OPTIONS.withPackTokens(1))) {
      Map<String, float[]> together = trainer.gradients(fixture.examples());
      Map<String, float[]> oneByOne = alone.gradients(other);
      together.forEach(
          (name, gradient) -> {
            double scale = Math.max(norm(gradient), 1e-2);
            float[] second = oneByOne.get(name);
            for (int i = 0; i < gradient.length; i++) {
              assertThat((double) second[i])
                  .as("%s at %d", name, i)
                  .isCloseTo(gradient[i], within(1e-4 * scale));
            }
          });
    }
  }

  @Test
  void aDocumentDoesNotSeeItsNeighbours() {
    GradientFixture fixture = GradientFixture.read("smollm2");
    Example changing = fixture.examples().get(2);
    int[] tokens = changing.tokens().clone();
    tokens[0] = (tokens[0] + 50) % 160;
    Example changed = new Example(tokens, changing.lossWeights());
    List<Example> before = List.of(fixture.examples().get(0), changing, fixture.examples().get(1));
    List<Example> after = List.of(fixture.examples().get(0), changed, fixture.examples().get(1));
    try (Trainer trainer = fixture.trainer(OPTIONS)) {
      double[] first = trainer.losses(before);
      double[] second = trainer.losses(after);
      assertThat(second[0]).isEqualTo(first[0]);
      assertThat(second[2]).isEqualTo(first[2]);
      assertThat(second[1]).isNotEqualTo(first[1]);
    }
  }

  /** Those of them that one product reads as one lie apart in theta if only some are trained. */
  @ParameterizedTest
  @CsvSource({
    "qwen3, q_proj.weight",
    "qwen3, k_proj.weight",
    "qwen3, v_proj.weight",
    "qwen3, (k_proj|v_proj).weight",
    "qwen3, (q_proj|v_proj).weight",
    "qwen3, (q_norm|up_proj).*",
    "qwen2, bias",
    "qwen2, (q_proj.bias|k_proj.weight|gate_proj.*)",
    "qwen2, (k_proj.bias|v_proj.bias)",
    "pythia, query_key_value.bias"
  })
  void gradientsOfSomeParametersAreThoseThatTheyHaveAmongAll(String family, String trained) {
    GradientFixture fixture = GradientFixture.read(family);
    Pattern wanted = Pattern.compile(trained);
    TrainingOptions options = OPTIONS.withTrained(name -> wanted.matcher(name).find());
    try (Trainer whole = fixture.trainer(OPTIONS);
        Trainer part = fixture.trainer(options)) {
      Map<String, float[]> all = whole.gradients(fixture.examples());
      Map<String, float[]> some = part.gradients(fixture.examples());
      assertThat(some).isNotEmpty().hasSizeLessThan(all.size());
      some.forEach(
          (name, gradient) ->
              assertThat(gradient).as(name).containsExactly(all.get(name), within(1e-5f)));
    }
  }

  @Test
  void onlyTheNamedParametersAreDifferentiatedAndMoved() {
    GradientFixture fixture = GradientFixture.read("qwen3");
    TrainingOptions onlyMlp = OPTIONS.withTrained(name -> name.contains(".mlp."));
    try (Trainer whole = fixture.trainer(OPTIONS);
        Trainer part = fixture.trainer(onlyMlp)) {
      Map<String, float[]> all = whole.gradients(fixture.examples());
      Map<String, float[]> some = part.gradients(fixture.examples());
      assertThat(some.keySet()).hasSize(6).allMatch(name -> name.contains(".mlp."));
      some.forEach(
          (name, gradient) -> assertThat(gradient).containsExactly(all.get(name), within(1e-5f)));
      Map<String, float[]> before = values(part);
      part.step(fixture.examples());
      values(part)
          .forEach(
              (name, after) -> {
                if (name.contains(".mlp.")) {
                  assertThat(after).as(name).isNotEqualTo(before.get(name));
                } else {
                  assertThat(after).as(name).isEqualTo(before.get(name));
                }
              });
    }
  }

  static Map<String, float[]> values(Trainer trainer) {
    Map<String, float[]> values = new HashMap<>();
    trainer.parameters().forEach(p -> values.put(p.name(), trainer.values(p)));
    return values;
  }

  private static double loss(Trainer trainer, List<Example> examples) {
    double total = 0;
    for (double loss : trainer.losses(examples)) {
      total += loss;
    }
    double weights = 0;
    for (Example example : examples) {
      for (float weight : example.lossWeights()) {
        weights += weight;
      }
    }
    return total / weights;
  }

  private static double norm(float[] values) {
    double sum = 0;
    for (float value : values) {
      sum += (double) value * value;
    }
    return Math.sqrt(sum);
  }
}
