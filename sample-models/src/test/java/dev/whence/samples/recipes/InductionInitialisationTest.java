package dev.whence.samples.recipes;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.engine.EngineOptions;
import dev.whence.engine.kernel.ParameterLayout;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.Initialisation;
import dev.whence.engine.training.NormalInitialisation;
import dev.whence.engine.training.Schedule;
import dev.whence.engine.training.Trainer;
import dev.whence.engine.training.TrainingOptions;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.samples.recipes.Architecture.Family;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class InductionInitialisationTest {
  private static final int VOCABULARY = 1024;
  private static final int FIRST_NAME = 300;
  private static final int END_OF_NAMES = 460;

  private static ModelConfig config(int heads, int headDimension) {
    return ModelConfig.parse(
        new Architecture(Family.QWEN3, VOCABULARY, 128, 4, heads, headDimension, 256, 1024)
            .config(),
        "test");
  }

  private static InductionInitialisation induction() {
    BitSet names = new BitSet();
    names.set(FIRST_NAME, END_OF_NAMES);
    return new InductionInitialisation(7, names);
  }

  private static List<ParameterLayout.Parameter> parameters(ModelConfig config) {
    return ParameterLayout.of(config, name -> true).parameters();
  }

  @Test
  void valuesAreFiniteAndTheSameAtEveryCallInAnyOrder() {
    ModelConfig config = config(4, 32);
    InductionInitialisation one = induction();
    InductionInitialisation other = induction();
    List<ParameterLayout.Parameter> backwards = new ArrayList<>(parameters(config));
    Collections.reverse(backwards);
    backwards.forEach(parameter -> other.values(parameter, config));
    for (ParameterLayout.Parameter parameter : parameters(config)) {
      float[] values = one.values(parameter, config);
      assertThat(values).as(parameter.name()).hasSize((int) parameter.elements());
      assertThat(other.values(parameter, config)).isEqualTo(values);
      for (float value : values) {
        assertThat(Float.isFinite(value)).as(parameter.name()).isTrue();
      }
    }
  }

  /**
   * Different syllables in an order that is drawn, the same once more up to some place, and then
   * the one that followed there, or one that stood some places further on. Only the last counts.
   */
  private static List<Example> repeated(int further) {
    int length = 24;
    List<Example> examples = new ArrayList<>();
    for (int seed = 0; seed < 96; seed++) {
      List<Integer> order = new ArrayList<>();
      for (int token = FIRST_NAME; token < END_OF_NAMES; token++) {
        order.add(token);
      }
      Collections.shuffle(order, new Random(seed));
      int place = 4 + seed % 12;
      int[] tokens = new int[length + place + 1];
      for (int i = 0; i < tokens.length; i++) {
        tokens[i] = order.get(i % length);
      }
      tokens[tokens.length - 1] = order.get(place + further);
      float[] weights = new float[tokens.length];
      weights[tokens.length - 1] = 1;
      examples.add(new Example(tokens, weights));
    }
    return examples;
  }

  /**
   * By how many nats an untrained model finds what followed before more probable than another token
   * of the sequence; what it finds of every token alike (the last one once more) cancels out.
   */
  private static double preference(Initialisation initialisation) {
    TrainingOptions options =
        TrainingOptions.of(new Schedule.Constant(1e-3, 1))
            .withEngine(EngineOptions.defaults().withDevice("cpu"));
    try (Trainer trainer = Trainer.initialise(config(4, 32), initialisation, options)) {
      double right = Arrays.stream(trainer.losses(repeated(0))).average().orElseThrow();
      double wrong = Arrays.stream(trainer.losses(repeated(7))).average().orElseThrow();
      return wrong - right;
    }
  }

  @Test
  void anUntrainedModelLeansToWhatFollowedBefore() {
    // Each is a mean of 96 differences, whose own deviation by chance is about 0.15.
    assertThat(preference(NormalInitialisation.of(0.1, 7))).isBetween(-0.3, 0.3);
    assertThat(preference(induction())).isGreaterThan(0.3);
  }

  @Test
  void otherShapesAreRefused() {
    for (ModelConfig config :
        List.of(
            config(8, 16),
            ModelConfig.parse(
                new Architecture(Family.GPT_NEOX, VOCABULARY, 128, 4, 4, 32, 256, 1024).config(),
                "neox"),
            ModelConfig.parse(
                new Architecture(Family.QWEN3, VOCABULARY, 128, 2, 4, 32, 256, 1024).config(),
                "two layers"))) {
      assertThatThrownBy(() -> induction().values(parameters(config).get(0), config))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("four heads");
    }
  }
}
