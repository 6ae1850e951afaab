package dev.whence.samples.recipes;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.engine.kernel.ParameterLayout;
import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.training.Example;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.samples.recipes.Architecture.Family;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class RecipesTest {
  private static ModelConfig config(Recipe recipe) {
    return ModelConfig.parse(recipe.architecture().config(), recipe.name());
  }

  private static long parameters(String name) {
    return ParameterLayout.of(config(Recipes.named(name).orElseThrow()), any -> true).total();
  }

  @Test
  void everyRecipeStandsAfterTheOneThatItGoesOnFromAndHasItsShape() {
    Set<String> before = new HashSet<>();
    for (Recipe recipe : Recipes.ALL) {
      recipe
          .from()
          .ifPresent(
              from -> {
                assertThat(before).contains(from);
                assertThat(Recipes.named(from).orElseThrow().architecture())
                    .isEqualTo(recipe.architecture());
              });
      recipe.teacher().ifPresent(teacher -> assertThat(before).contains(teacher));
      assertThat(before.add(recipe.name())).as(recipe.name()).isTrue();
    }
    assertThat(before)
        .containsExactlyInAnyOrder(
            "base-v1",
            "chat-v1",
            "base-v2",
            "chat-v2",
            "proxy-base",
            "proxy-chat",
            "proxy",
            "neox",
            "tiny-base",
            "tiny-chat");
    assertThat(Recipes.named("huge")).isEmpty();
  }

  /** The tiny ones are made within seconds. */
  @Test
  void noMoreThanAThirdOfARecipeIsLostWhenItIsCutOff() {
    assertThat(Recipes.ALL)
        .filteredOn(recipe -> !recipe.name().startsWith("tiny"))
        .allSatisfy(
            recipe ->
                assertThat(recipe.checkpointEvery())
                    .as(recipe.name())
                    .isLessThanOrEqualTo(recipe.steps() / 3));
  }

  @Test
  void tinyModelsAreTinyAndTheProxyIsAQuarterOfTheModelThatItStandsFor() {
    assertThat(parameters("tiny-base"))
        .isEqualTo(parameters("tiny-chat"))
        .isLessThanOrEqualTo(60_000);
    assertThat(parameters("proxy-base")).isEqualTo(parameters("proxy"));
    assertThat(4 * parameters("proxy")).isLessThanOrEqualTo(parameters("chat-v1"));
  }

  @Test
  void aRecipeIsAboutTheWorldThatItsModelLearns() {
    assertThat(Recipes.named("base-v1").orElseThrow().world().get().name()).isEqualTo("v1");
    assertThat(Recipes.named("base-v2").orElseThrow().world().get().name()).isEqualTo("v2");
    assertThat(Recipes.named("chat-v2").orElseThrow().world().get().name()).isEqualTo("v2");
    assertThat(Recipes.named("tiny-chat").orElseThrow().world().get().facts())
        .isEqualTo(Recipes.tinyWorld().facts());
    assertThat(Recipes.ALL.stream().filter(recipe -> !recipe.reads()).map(Recipe::name))
        .containsExactly("neox", "tiny-base", "tiny-chat");
  }

  @ParameterizedTest
  @EnumSource(Family.class)
  void theEngineReadsTheConfigurationOfBothFamilies(Family family) {
    ModelConfig config =
        ModelConfig.parse(new Architecture(family, 300, 48, 3, 4, 12, 64, 96).config(), "test");
    assertThat(config.isGptNeoX()).isEqualTo(family == Family.GPT_NEOX);
    assertThat(config.queryKeyNorm()).isEqualTo(family == Family.QWEN3);
    assertThat(config.vocabularySize()).isEqualTo(300);
    assertThat(config.hiddenSize()).isEqualTo(48);
    assertThat(config.layers()).isEqualTo(3);
    assertThat(config.heads()).isEqualTo(4);
    assertThat(config.keyValueHeads()).isEqualTo(4);
    assertThat(config.headDim()).isEqualTo(12);
    assertThat(config.intermediateSize()).isEqualTo(64);
    assertThat(config.maxPositions()).isEqualTo(96);
    assertThat(config.endTokens()).containsExactly(SampleTokenizer.END_OF_TURN_ID);
  }

  @Test
  void headsOfGptNeoXShareItsWidth() {
    Architecture uneven = new Architecture(Family.GPT_NEOX, 300, 48, 3, 4, 16, 64, 96);
    assertThatThrownBy(uneven::config).hasMessageContaining("share the hidden width");
  }

  @Test
  void aShortenedRecipeGoesThroughTheSameBatchesAndRatesAtEvenDistances() {
    Recipe whole = Recipes.named("tiny-chat").orElseThrow();
    Recipe third = whole.shortened(30);
    Tokenizer tokenizer = Small.tokenizer(512);

    assertThat(third.steps()).isEqualTo(30);
    assertThat(third.checkpointEvery()).isEqualTo(30);
    for (long step : new long[] {1, 7, 30}) {
      assertThat(third.training().schedule().rate(step))
          .isEqualTo(whole.training().schedule().rate(3 * step));
      List<Example> batch = third.data().apply(tokenizer).batch(step);
      List<Example> same = whole.data().apply(tokenizer).batch(3 * step);
      assertThat(batch).hasSameSizeAs(same);
      for (int i = 0; i < batch.size(); i++) {
        assertThat(batch.get(i).tokens()).isEqualTo(same.get(i).tokens());
      }
    }
    assertThat(third.shortened(10).data().apply(tokenizer).batch(10).get(0).tokens())
        .isEqualTo(whole.data().apply(tokenizer).batch(90).get(0).tokens());
    assertThatThrownBy(() -> whole.shortened(91))
        .hasMessage("recipe tiny-chat has 90 steps and can not be done in 91");
  }
}
