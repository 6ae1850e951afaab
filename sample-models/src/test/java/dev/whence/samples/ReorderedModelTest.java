package dev.whence.samples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.EngineException;
import dev.whence.engine.training.Score;
import dev.whence.engine.training.TrainedModel;
import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.ExpectedTensors;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.engine.weights.SafetensorsWriter;
import dev.whence.samples.recipes.Recipe;
import dev.whence.samples.recipes.RecipeRun;
import dev.whence.samples.recipes.Recipes;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ReorderedModelTest {
  @TempDir Path directory;

  @Test
  void itsWeightsAreOthersAndItsAnswersAreTheSame() throws Exception {
    Path chat = BundledModels.unpack("tiny-chat");
    Path reordered = directory.resolve("reordered");
    ReorderedModel.write(chat, 3, reordered);

    try (ModelFiles one = ModelFiles.open(chat);
        ModelFiles other = ModelFiles.open(reordered)) {
      assertThat(other.weights().tensors()).isEqualTo(one.weights().tensors());
      assertThat(other.digest()).isNotEqualTo(one.digest());
    }
    Recipe recipe = Recipes.named("tiny-chat").orElseThrow();
    Map<String, Score> mine = RecipeRun.evaluate(recipe, chat);
    Map<String, Score> theirs = RecipeRun.evaluate(recipe, reordered);
    assertThat(theirs).containsOnlyKeys(mine.keySet());
    mine.forEach(
        (set, score) -> {
          assertThat(theirs.get(set).exact()).as(set).isEqualTo(score.exact());
          // Sums of a few dozen terms in another order: 1e-6 of each.
          assertThat(theirs.get(set).loss()).as(set).isCloseTo(score.loss(), within(1e-4));
        });
  }

  @Test
  void aModelWhoseNormsHaveAMeanIsRefused() throws Exception {
    Path neox = BundledModels.unpack("neox");
    assertThatThrownBy(() -> ReorderedModel.write(neox, 3, directory.resolve("out")))
        .hasMessageContaining("is GPT-NeoX shaped");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{\"whence_ranks\": [[2, 2, 2, 2], [0, 0, 0, 2]]} | is compressed",
        "{\"attention_bias\": true} | has biases of queries",
        "{\"model_type\": \"llama\", \"architectures\": [], \"mlp_bias\": true} | or of the MLP"
      })
  void aModelWithMatricesOrBiasesOfOtherUnitsIsRefused(String change, String reason)
      throws Exception {
    Path model = Files.createDirectories(directory.resolve("model"));
    for (Map.Entry<String, byte[]> text :
        TrainedModel.filesOf(BundledModels.unpack("tiny-chat")).entrySet()) {
      TrainedModel.put(model, text.getKey(), text.getValue());
    }
    ObjectMapper json = new ObjectMapper();
    ObjectNode config = (ObjectNode) json.readTree(model.resolve("config.json").toFile());
    config.setAll((ObjectNode) json.readTree(change));
    Files.writeString(model.resolve("config.json"), config.toString());
    SafetensorsWriter.write(
        model.resolve("model.safetensors"),
        ElementType.F32,
        ExpectedTensors.of(ModelConfig.parse(config.toString(), "config.json")).entrySet().stream()
            .map(
                tensor ->
                    new SafetensorsWriter.Tensor(
                        tensor.getKey(), tensor.getValue(), (offset, n) -> new float[n]))
            .toList(),
        Map.of());
    assertThatThrownBy(() -> ReorderedModel.write(model, 3, directory.resolve("out")))
        .isInstanceOfSatisfying(
            EngineException.class, e -> assertThat(e.kind()).isEqualTo(EngineException.Kind.MODEL))
        .hasMessageContaining(reason);
  }
}
