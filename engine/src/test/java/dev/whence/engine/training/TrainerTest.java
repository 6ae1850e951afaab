package dev.whence.engine.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.Trunk;
import dev.whence.engine.kernel.ParameterLayout.Parameter;
import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.ModelFiles;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class TrainerTest {
  private static final EngineOptions CPU = EngineOptions.defaults().withDevice("cpu");

  private static TrainingOptions options(double rate) {
    return TrainingOptions.of(new Schedule.Constant(rate, 0)).withEngine(CPU);
  }

  @ParameterizedTest
  @ValueSource(strings = {"qwen3", "pythia"})
  void aStepIsAdamWWithClippingAsThePaperWritesIt(String family) {
    GradientFixture fixture = GradientFixture.read(family);
    double rate = 0.01;
    double decay = 0.2;
    double clip = 0.7;
    TrainingOptions options =
        options(rate).withWeightDecay(decay).withClipNorm(clip).withBetas(0.8, 0.9);
    try (Trainer trainer = fixture.trainer(options)) {
      Map<String, double[]> mean = new HashMap<>();
      Map<String, double[]> square = new HashMap<>();
      for (int step = 1; step <= 3; step++) {
        Map<String, float[]> gradients = trainer.gradients(fixture.examples());
        Map<String, float[]> before = GradientTest.values(trainer);
        StepReport report = trainer.step(fixture.examples());
        double norm = 0;
        for (float[] gradient : gradients.values()) {
          for (float g : gradient) {
            norm += (double) g * g;
          }
        }
        norm = Math.sqrt(norm);
        assertThat(report.gradientNorm()).isCloseTo(norm, within(1e-5 * norm));
        assertThat(norm).as("clipping is at work").isGreaterThan(clip);
        for (Parameter parameter : trainer.parameters()) {
          float[] gradient = gradients.get(parameter.name());
          double[] m = mean.computeIfAbsent(parameter.name(), n -> new double[gradient.length]);
          double[] v = square.computeIfAbsent(parameter.name(), n -> new double[gradient.length]);
          boolean shrinks =
              parameter.shape().size() == 2
                  && !parameter.name().endsWith("embed_tokens.weight")
                  && !parameter.name().endsWith("embed_in.weight");
          float[] after = trainer.values(parameter);
          for (int i = 0; i < gradient.length; i++) {
            double g = gradient[i] * clip / norm;
            m[i] = 0.8 * m[i] + 0.2 * g;
            v[i] = 0.9 * v[i] + 0.1 * g * g;
            double start = before.get(parameter.name())[i];
            double expected =
                start * (shrinks ? 1 - rate * decay : 1)
                    - rate
                        * (m[i] / (1 - Math.pow(0.8, step)))
                        / (Math.sqrt(v[i] / (1 - Math.pow(0.9, step))) + 1e-8);
            // where g is rounding noise around 0, its sign is chance, and so is a whole step
            double tolerance = Math.abs(g) < 1e-6 ? 2.5 * rate : 1e-5;
            assertThat((double) after[i])
                .as("%s at %d after step %d", parameter.name(), i, step)
                .isCloseTo(expected, within(tolerance));
          }
        }
      }
    }
  }

  @Test
  void trainingLearnsADocumentByHeartAndSavesWhatItLearnt(@TempDir Path directory)
      throws Exception {
    GradientFixture fixture = GradientFixture.read("smollm2");
    Example example = Example.of(IntStream.range(3, 30).map(i -> (i * 37) % 157 + 3).toArray());
    try (Trainer trainer = fixture.trainer(options(0.01))) {
      double first = trainer.step(List.of(example)).loss();
      double last = first;
      for (int i = 0; i < 60; i++) {
        last = trainer.step(List.of(example)).loss();
      }
      assertThat(first).isGreaterThan(5);
      assertThat(last).isLessThan(0.05);
      for (String file : List.of("config.json", "tokenizer.json", "tokenizer_config.json")) {
        Path from = fixture.directory().resolve(file);
        if (Files.exists(from)) {
          Files.copy(from, directory.resolve(file));
        }
      }
      trainer.save(directory.resolve("model.safetensors"), ElementType.F32);
      double loss = trainer.losses(List.of(example))[0];
      try (LocalScorer scorer =
              LocalScorer.open(
                  ModelFiles.open(directory), CPU.withDtype(EngineOptions.Dtype.FP32));
          Trunk trunk = scorer.trunk(example.tokens(), 1)) {
        double sum = 0;
        for (double logProb : trunk.logProbs()) {
          sum -= logProb;
        }
        assertThat(sum).as("the scoring engine agrees").isCloseTo(loss, within(1e-3));
      }
    }
  }

  @Test
  void aRateThatMakesTheLossNaNStopsWithTheStepAndChangesNothing() {
    GradientFixture fixture = GradientFixture.read("llama2");
    try (Trainer trainer = fixture.trainer(options(1e30))) {
      trainer.step(fixture.examples());
      Map<String, float[]> before = GradientTest.values(trainer);
      assertThatThrownBy(() -> trainer.step(fixture.examples()))
          .isInstanceOfSatisfying(
              EngineException.class, e -> assertThat(e.kind()).isEqualTo(Kind.MODEL))
          .hasMessageContaining("step 2")
          .hasMessageContaining("1.0E30");
      assertThat(trainer.step()).isEqualTo(1);
      GradientTest.values(trainer)
          .forEach((name, values) -> assertThat(values).as(name).isEqualTo(before.get(name)));
    }
  }

  @Test
  void aTokenOutsideTheVocabularyIsRefusedByNumber() {
    GradientFixture fixture = GradientFixture.read("llama2");
    try (Trainer trainer = fixture.trainer(options(1e-3))) {
      assertThatThrownBy(() -> trainer.step(List.of(Example.of(1, 2, 3), Example.of(4, 160, 5))))
          .isInstanceOfSatisfying(
              EngineException.class, e -> assertThat(e.kind()).isEqualTo(Kind.RECORD))
          .hasMessage(
              "Example 1 has token id 160, the model's vocabulary has 160: the tokenizer is not this"
                  + " model's.");
      assertThat(trainer.step()).isZero();
    }
  }

  static List<String> families() {
    return GradientFixture.names();
  }

  @ParameterizedTest
  @MethodSource("families")
  void aSavedModelIsTheFileThatHuggingFaceWrote(String family, @TempDir Path directory)
      throws Exception {
    GradientFixture fixture = GradientFixture.read(family);
    Path written = directory.resolve("model.safetensors");
    try (Trainer trainer = fixture.trainer(options(1e-3))) {
      trainer.save(written, ElementType.F32);
    }
    assertThat(written).hasSameBinaryContentAs(fixture.directory().resolve("model.safetensors"));
  }

  @Test
  void theSameSeedGivesTheSameModelAndAnotherSeedAnotherOne() {
    GradientFixture fixture = GradientFixture.read("qwen2");
    try (ModelFiles files = ModelFiles.open(fixture.directory());
        Trainer one =
            Trainer.initialise(files.config(), NormalInitialisation.of(0.02, 7), options(1e-3));
        Trainer two =
            Trainer.initialise(files.config(), NormalInitialisation.of(0.02, 7), options(1e-3));
        Trainer other =
            Trainer.initialise(files.config(), NormalInitialisation.of(0.02, 8), options(1e-3))) {
      for (int i = 0; i < 3; i++) {
        assertThat(two.step(fixture.examples())).isEqualTo(one.step(fixture.examples()));
      }
      Map<String, float[]> expected = GradientTest.values(one);
      GradientTest.values(two)
          .forEach((name, values) -> assertThat(values).as(name).isEqualTo(expected.get(name)));
      Parameter embedding = other.parameters().get(0);
      assertThat(other.values(embedding)).isNotEqualTo(expected.get(embedding.name()));
    }
  }
}
