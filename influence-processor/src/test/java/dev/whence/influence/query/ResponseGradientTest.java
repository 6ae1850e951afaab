package dev.whence.influence.query;

import static dev.whence.influence.query.TinyIndex.answered;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.conversation.Conversation;
import dev.whence.engine.training.Example;
import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.engine.weights.SafetensorsWriter;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.TinyFactors;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.model.Measure;
import dev.whence.influence.model.TappedModel;
import dev.whence.samples.BundledModels;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The gradient of what is asked about, and its damping. */
class ResponseGradientTest {
  private static TinyIndex tiny;

  @BeforeAll
  static void open() throws Exception {
    tiny = TinyIndex.shared();
  }

  /** As where a response is scored: its end token counts where it is known to have been said. */
  @Test
  void theEndTokenOfAResponseIsAskedAboutOnlyWhereTheModelIsKnownToHaveEndedIt() {
    ResponseGradient unknown = endedBy("");
    ResponseGradient cut = endedBy("length");
    ResponseGradient whole = endedBy("stop");
    assertThat(unknown.tokens()).isEqualTo(cut.tokens());
    assertThat(unknown.logLikelihood()).isEqualTo(cut.logLikelihood());
    assertThat(whole.tokens()).isEqualTo(cut.tokens() + 1);
    assertThat(whole.logLikelihood()).isLessThan(cut.logLikelihood());
  }

  private static ResponseGradient endedBy(String finishReason) {
    Conversation whole = answered(0);
    return ResponseGradient.of(
        tiny.chat,
        whole.answeredBy(whole.model(), whole.response(), finishReason),
        Measure.LOG_LIKELIHOOD);
  }

  /** The slope of log(p / (1 - p)) by log p is 1 / (1 - p), for each token by itself. */
  @Test
  void logOddsCountATokenByOneOverTheChanceThatItIsAnother() {
    Example example = tiny.chat.texts().conversation(answered(1));
    double[] expected = new double[0];
    String layer = tiny.base.layers().get(3).name();
    for (int i = 1; i < example.length(); i++) {
      if (example.lossWeights()[i] == 0) {
        continue;
      }
      float[] one = new float[example.length()];
      one[i] = 1;
      ResponseGradient token =
          ResponseGradient.of(
              tiny.chat, new Example(example.tokens(), one), Measure.LOG_LIKELIHOOD);
      double slope = Math.min(1e4, 1 / (1 - Math.exp(token.logLikelihood())));
      double[] gradient = Objects.requireNonNull(token.byLayer().get(layer));
      if (expected.length == 0) {
        expected = new double[gradient.length];
      }
      for (int j = 0; j < gradient.length; j++) {
        expected[j] += slope * gradient[j];
      }
    }
    double[] found =
        Objects.requireNonNull(
            ResponseGradient.of(tiny.chat, example, Measure.LOG_ODDS).byLayer().get(layer));
    double scale = Arrays.stream(expected).map(Math::abs).max().orElseThrow();
    assertThat(scale).isPositive();
    for (int j = 0; j < found.length; j++) {
      assertThat(found[j]).isCloseTo(expected[j], within(2e-3 * scale));
    }
  }

  /** All weights zero: all logits are, whatever the layers do. */
  @Test
  void aGradientThatIsZeroIsRefused(@TempDir Path directory) throws Exception {
    try (TappedModel model = constant(directory, 0)) {
      assertThatThrownBy(
              () ->
                  ResponseGradient.of(
                      model, model.texts().conversation(answered(0)), Measure.LOG_LIKELIHOOD))
          .isInstanceOf(InfluenceException.class)
          .hasMessageContaining("gradient of the response is zero");
    }
  }

  @Test
  void aGradientThatIsNotFiniteIsRefused(@TempDir Path directory) throws Exception {
    try (TappedModel model = constant(directory, 1e25f)) {
      assertThatThrownBy(
              () ->
                  ResponseGradient.of(
                      model, model.texts().conversation(answered(0)), Measure.LOG_LIKELIHOOD))
          .isInstanceOf(InfluenceException.class)
          .hasMessageContaining("not finite");
    }
  }

  private static TappedModel constant(Path directory, float value) throws Exception {
    Path from = BundledModels.unpack("tiny-base");
    for (String file : List.of("config.json", "tokenizer.json", "tokenizer_config.json")) {
      Files.copy(from.resolve(file), directory.resolve(file));
    }
    try (ModelFiles files = ModelFiles.open(from)) {
      List<SafetensorsWriter.Tensor> tensors = new ArrayList<>();
      files
          .weights()
          .tensors()
          .values()
          .forEach(
              info ->
                  tensors.add(
                      new SafetensorsWriter.Tensor(
                          info.name(),
                          info.shape(),
                          (offset, n) -> {
                            float[] values = new float[n];
                            Arrays.fill(values, value);
                            return values;
                          })));
      SafetensorsWriter.write(
          directory.resolve("model.safetensors"), ElementType.F32, tensors, Map.of());
    }
    return TappedModel.open(directory, TinyFactors.LAYERS, TinyFactors.CPU);
  }

  /** Its square is still a number in fp64. */
  @Test
  void aQueryWhoseVectorIsMoreThanFp32HoldsIsRefused() {
    Map<String, double[]> large = new HashMap<>();
    ResponseGradient.of(
            tiny.chat, tiny.chat.texts().conversation(answered(0)), Measure.LOG_LIKELIHOOD)
        .byLayer()
        .forEach((layer, q) -> large.put(layer, Arrays.stream(q).map(one -> one * 1e60).toArray()));
    MultiStageQuery query =
        new MultiStageQuery(tiny.pretraining, Optional.empty(), tiny.base.matrices());
    assertThatThrownBy(
            () ->
                query.precondition(
                    new ResponseGradient(-1, 1, large),
                    Damping.DEFAULT,
                    Damping.DEFAULT,
                    tiny.index.settings()))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("lambda is so small")
        .hasMessageContaining("choose a larger one");
  }

  @Test
  void alphaAndLambdaMustBePositive() {
    for (String text : List.of("0", "-1", "0x", "NaN", "Infinity")) {
      assertThatThrownBy(() -> Damping.parse(text))
          .isInstanceOf(InfluenceException.class)
          .hasMessageContaining("must be above 0");
    }
    assertThatThrownBy(() -> Damping.parse("much")).hasMessageContaining("is no damping");
    assertThat(Damping.parse("0.1x")).isEqualTo(Damping.DEFAULT);
    assertThat(Damping.parse("1e-7")).isEqualTo(Damping.absolute(1e-7));
  }
}
