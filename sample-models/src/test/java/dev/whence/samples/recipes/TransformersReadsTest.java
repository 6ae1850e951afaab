package dev.whence.samples.recipes;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.Generator;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.Trunk;
import dev.whence.engine.weights.ModelFiles;
import java.io.IOException;
import java.util.HashSet;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Models that RecipeRun wrote, as Hugging Face transformers reads them; expected values by
 * src/test/fixtures/transformers_reads.py.
 */
class TransformersReadsTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final EngineOptions FP32 =
      EngineOptions.defaults().withDtype(Dtype.FP32).withDevice("cpu");

  @ParameterizedTest
  @ValueSource(strings = {"tiny-chat", "tiny-neox"})
  void idsProbabilitiesAndContinuationsAreThoseOfTransformers(String model) throws IOException {
    JsonNode expected =
        JSON.readTree(TransformersModels.HOME.resolve("expected.json").toFile())
            .path("models")
            .path(model);
    assertThat(expected).hasSizeGreaterThanOrEqualTo(4);
    try (ModelFiles files = ModelFiles.open(TransformersModels.HOME.resolve(model));
        LocalScorer scorer = LocalScorer.open(files, FP32)) {
      Generator generator = new Generator(scorer);
      for (JsonNode entry : expected) {
        int[] ids = JSON.treeToValue(entry.path("ids"), int[].class);
        assertThat(scorer.tokenizer().encode(entry.path("text").asText()).ids()).isEqualTo(ids);
        double[] wanted = JSON.treeToValue(entry.path("logProbabilities"), double[].class);
        try (Trunk trunk = scorer.trunk(ids, 1)) {
          assertThat(trunk.logProbs()).containsExactly(wanted, within(1e-4));
        }
        int[] greedy = generator.generate(ids, 24, new HashSet<>(scorer.config().endTokens()));
        assertThat(greedy).isEqualTo(JSON.treeToValue(entry.path("greedy"), int[].class));
        assertThat(scorer.tokenizer().decode(greedy, true))
            .isEqualTo(entry.path("response").asText());
      }
    }
  }
}
