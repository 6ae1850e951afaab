package dev.whence.samples.recipes;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.training.Score;
import dev.whence.engine.training.StepReport;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.ModelFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The two tiny recipes from nothing to a model that answers. */
class RecipeRunTest {
  private static final Recipe BASE = Recipes.named("tiny-base").orElseThrow();
  private static final Recipe CHAT = Recipes.named("tiny-chat").orElseThrow();

  @TempDir static Path directory;
  private static Path base;
  private static Path chat;
  private static final Seen OF_BASE = new Seen();
  private static final Seen OF_CHAT = new Seen();

  private static final class Seen implements RecipeRun.Listener {
    private final List<Long> steps = new ArrayList<>();
    private final List<Long> resumed = new ArrayList<>();
    private final Map<Long, Map<String, Score>> evaluated = new TreeMap<>();
    private long stopAt = Long.MAX_VALUE;

    @Override
    public void stepped(StepReport report) {
      steps.add(report.step());
      if (report.step() == stopAt) {
        throw new CutOffException();
      }
    }

    @Override
    public void resumed(long step) {
      resumed.add(step);
    }

    @Override
    public void evaluated(long step, Map<String, Score> scores) {
      evaluated.put(step, scores);
    }
  }

  private static final class CutOffException extends RuntimeException {
    private static final long serialVersionUID = 1;
  }

  @BeforeAll
  static void make() {
    base = directory.resolve("tiny-base");
    chat = directory.resolve("tiny-chat");
    new RecipeRun(BASE, base).run(Optional.empty(), OF_BASE);
    new RecipeRun(CHAT, chat).run(Optional.of(base), OF_CHAT);
  }

  @Test
  void theBaseModelKnowsWhatManyDocumentsState() {
    assertThat(OF_BASE.evaluated).containsOnlyKeys(BASE.steps());
    assertThat(OF_BASE.evaluated.get(BASE.steps()))
        .containsOnlyKeys("memory, asked", "memory, not asked")
        .allSatisfy((set, score) -> assertThat(score.share()).as(set).isGreaterThanOrEqualTo(0.8));
  }

  @Test
  void theChatModelAnswersWhatItWasAsked() {
    Score asked = OF_CHAT.evaluated.get(CHAT.steps()).get("memory, asked");
    assertThat(asked.share()).isGreaterThanOrEqualTo(0.8);
    // All but the right token has little probability left: exp(-.7) is one half.
    assertThat(asked.loss()).isLessThan(0.7);
    Map<String, Score> untrained = RecipeRun.evaluate(CHAT, base);
    assertThat(untrained.get("memory, asked").questions()).isEqualTo(asked.questions());
    assertThat(untrained.get("memory, asked").loss()).isGreaterThan(asked.loss());
    // The weights on disk are the trainer's own, in fp32.
    assertThat(RecipeRun.evaluate(CHAT, chat)).isEqualTo(OF_CHAT.evaluated.get(CHAT.steps()));
  }

  @Test
  void theModelsOpenAndHaveTheShapeOfTheirRecipe() {
    for (Path made : List.of(base, chat)) {
      try (ModelFiles files = ModelFiles.open(made)) {
        assertThat(files.config())
            .isEqualTo(ModelConfig.parse(BASE.architecture().config(), "recipe"));
        assertThat(files.tokenizer().vocabularySize()).isEqualTo(BASE.architecture().vocabulary());
      }
      assertThat(made.resolve("model.safetensors")).exists();
    }
    assertThat(base.resolve("tokenizer.json"))
        .hasSameBinaryContentAs(chat.resolve("tokenizer.json"));
  }

  @Test
  void aRunThatWasCutOffEndsWithTheSameBytes() {
    Recipe often = CHAT.withCheckpointEvery(30);
    Path output = directory.resolve("cut");
    Seen cut = new Seen();
    cut.stopAt = 41;
    assertThatThrownBy(() -> new RecipeRun(often, output).run(Optional.of(base), cut))
        .isInstanceOf(CutOffException.class);
    assertThat(output.resolve("model.safetensors")).doesNotExist();
    Seen again = new Seen();
    new RecipeRun(often, output).run(Optional.of(base), again);
    assertThat(again.resumed).containsExactly(30L);
    assertThat(again.steps.get(0)).isEqualTo(31);
    assertThat(output.resolve("model.safetensors"))
        .hasSameBinaryContentAs(chat.resolve("model.safetensors"));
  }

  @Test
  void aFinishedRecipeIsNotRunAgain() throws IOException {
    byte[] before = Files.readAllBytes(chat.resolve("model.safetensors"));
    Seen again = new Seen();
    new RecipeRun(CHAT, chat).run(Optional.of(base), again);
    assertThat(again.steps).isEmpty();
    assertThat(again.resumed).containsExactly(CHAT.steps());
    assertThat(Files.readAllBytes(chat.resolve("model.safetensors"))).isEqualTo(before);
  }

  /** As an upgrade may change it. */
  @Test
  void checkpointsOfARecipeThatHasChangedUnderItsNameAreRefused() {
    Recipe changed =
        new Recipe(
            CHAT.name(),
            CHAT.summary(),
            CHAT.from(),
            CHAT.world(),
            CHAT.reads(),
            CHAT.chats(),
            CHAT.architecture(),
            CHAT.initialisation(),
            CHAT.training().withWeightDecay(0.06),
            CHAT.steps(),
            CHAT.checkpointEvery(),
            CHAT.seed(),
            CHAT.data(),
            CHAT.stored());
    assertThatThrownBy(() -> new RecipeRun(changed, chat).run(Optional.of(base), new Seen()))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("another model, recipe or seed");
  }

  @Test
  void aModelOfAnotherShapeIsRefused() {
    Recipe proxy = Recipes.named("proxy").orElseThrow();
    assertThatThrownBy(
            () ->
                new RecipeRun(proxy, directory.resolve("proxy")).run(Optional.of(base), new Seen()))
        .isInstanceOfSatisfying(
            EngineException.class, e -> assertThat(e.kind()).isEqualTo(Kind.MODEL))
        .hasMessage(
            base + " is of another shape than recipe proxy is for: no model of proxy-base.");
    assertThat(directory.resolve("proxy")).doesNotExist();
  }

  @Test
  void aRecipeSaysWhetherItGoesOnFromAModel() {
    assertThatThrownBy(() -> new RecipeRun(CHAT, directory).run(Optional.empty(), new Seen()))
        .hasMessage("tiny-chat goes on from a model of recipe tiny-base: say where it is.");
    assertThatThrownBy(() -> new RecipeRun(BASE, directory).run(Optional.of(base), new Seen()))
        .hasMessage("tiny-base starts anew: it goes on from no model.");
  }
}
