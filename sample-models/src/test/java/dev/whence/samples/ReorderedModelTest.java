package dev.whence.samples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.training.Score;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.samples.recipes.Recipe;
import dev.whence.samples.recipes.RecipeRun;
import dev.whence.samples.recipes.Recipes;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

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
}
