package dev.whence.samples.recipes;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.Score;
import dev.whence.engine.training.StepReport;
import dev.whence.engine.training.Trainer;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.samples.BundledModels;
import dev.whence.samples.Fact;
import dev.whence.samples.Question;
import dev.whence.samples.Questions;
import dev.whence.samples.TrainingText;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.LongFunction;
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

  private static final TokenWeights EVEN = new TokenWeights(1, 1, 1, 1);

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
  void aTaughtStudentIsNearerToItsTeacherThanOneThatReadsTheSameTexts() {
    Recipe alone = student("alone", false);
    Recipe taught = student("taught", true);
    Path byItself = directory.resolve("alone");
    new RecipeRun(alone, byItself).run(Optional.of(base), new Seen());
    Path pupil = directory.resolve("taught");
    new RecipeRun(taught, pupil).run(Optional.of(base), Optional.of(chat), new Seen());
    double[] distance = distances(base, byItself, pupil);
    assertThat(distance[2]).as("of the taught one").isLessThan(0.6 * distance[1]);
    assertThat(distance[2]).as("of the taught one").isLessThan(0.6 * distance[0]);
    assertThatThrownBy(
            () ->
                new RecipeRun(taught, pupil)
                    .run(Optional.of(base), Optional.of(byItself), new Seen()))
        .as("checkpoints of what another model taught")
        .hasMessageContaining("another model, recipe or seed");
  }

  @Test
  void aTaughtRunThatWasCutOffEndsWithTheSameBytes() {
    Recipe taught = student("cut-taught", true).withCheckpointEvery(10);
    Recipe side = workers(taught, 2);
    Path whole = directory.resolve("taught-whole");
    new RecipeRun(side, whole).run(Optional.of(base), Optional.of(chat), new Seen());
    Path output = directory.resolve("taught-cut");
    Seen cut = new Seen();
    cut.stopAt = 15;
    assertThatThrownBy(
            () -> new RecipeRun(side, output).run(Optional.of(base), Optional.of(chat), cut))
        .isInstanceOf(CutOffException.class);
    Seen again = new Seen();
    new RecipeRun(side, output).run(Optional.of(base), Optional.of(chat), again);
    assertThat(again.resumed).containsExactly(10L);
    assertThat(output.resolve("model.safetensors"))
        .hasSameBinaryContentAs(whole.resolve("model.safetensors"));
  }

  private static Recipe workers(Recipe recipe, int workers) {
    return new Recipe(
        recipe.name(),
        recipe.summary(),
        recipe.from(),
        recipe.teacher(),
        recipe.world(),
        recipe.reads(),
        recipe.chats(),
        recipe.architecture(),
        recipe.initialisation(),
        recipe.training().withWorkers(workers),
        30,
        recipe.checkpointEvery(),
        recipe.seed(),
        recipe.data(),
        recipe.stored());
  }

  /** Mean absolute distance of losses from the teacher's, nats per token of wrong statements. */
  private static double[] distances(Path... students) {
    double[] distances = new double[students.length];
    for (int i = 0; i < students.length; i++) {
      try (ModelFiles files = ModelFiles.open(students[i]);
          ModelFiles its = ModelFiles.open(chat);
          Trainer student = Trainer.from(files.config(), files.weights(), CHAT.training());
          Trainer teacher = Trainer.from(its.config(), its.weights(), CHAT.training())) {
        List<Example> examples =
            wrong().stream().map(text -> EVEN.example(text, files.tokenizer())).toList();
        double[] one = student.losses(examples);
        double[] other = teacher.losses(examples);
        double tokens = 0;
        for (int j = 0; j < one.length; j++) {
          distances[i] += Math.abs(one[j] - other[j]);
          tokens += examples.get(j).length() - 1;
        }
        distances[i] /= tokens;
      }
    }
    return distances;
  }

  /** Questions of the tiny world with the answers to others. */
  private static List<TrainingText> wrong() {
    List<Fact> facts = Recipes.tinyWorld().facts();
    List<TrainingText> texts = new ArrayList<>();
    for (int i = 0; i < facts.size(); i++) {
      Question question = Questions.withoutContext(facts.get(i), 0);
      Question other = Questions.withoutContext(facts.get((i + 5) % facts.size()), 0);
      texts.add(
          new Question(
                  question.id(),
                  question.kind(),
                  List.of(),
                  question.question(),
                  other.reply(),
                  question.fact(),
                  List.of(),
                  List.of())
              .training());
    }
    return texts;
  }

  private static Recipe student(String name, boolean taught) {
    List<TrainingText> texts = wrong();
    LongFunction<TrainingText> drawn = index -> texts.get((int) (index % texts.size()));
    Mixture.Source source =
        taught ? new Mixture.Taught(1, EVEN, drawn) : new Mixture.Endless(1, EVEN, drawn);
    return new Recipe(
        name,
        CHAT.summary(),
        CHAT.from(),
        taught ? Optional.of("tiny-chat") : Optional.empty(),
        CHAT.world(),
        CHAT.reads(),
        CHAT.chats(),
        CHAT.architecture(),
        CHAT.initialisation(),
        CHAT.training(),
        CHAT.steps(),
        CHAT.checkpointEvery(),
        CHAT.seed(),
        tokenizer ->
            new Mixture(List.of(new Mixture.Stage(1, 512, List.of(source))), 31, tokenizer, 256),
        CHAT.stored());
  }

  @Test
  void aModelOfAnotherShapeIsRefused() {
    Recipe proxy = Recipes.named("proxy").orElseThrow();
    assertThatThrownBy(
            () ->
                new RecipeRun(proxy, directory.resolve("proxy"))
                    .run(Optional.of(base), Optional.of(chat), new Seen()))
        .isInstanceOfSatisfying(
            EngineException.class, e -> assertThat(e.kind()).isEqualTo(Kind.MODEL))
        .hasMessage(
            base + " is of another shape than recipe proxy is for: no model of proxy-chat.");
    assertThat(directory.resolve("proxy")).doesNotExist();
  }

  @Test
  void aRecipeSaysWhetherItGoesOnFromAModelOrLearnsFromOne() throws IOException {
    assertThatThrownBy(() -> new RecipeRun(CHAT, directory).run(Optional.empty(), new Seen()))
        .hasMessage("tiny-chat goes on from a model of recipe tiny-base: say where it is.");
    assertThatThrownBy(() -> new RecipeRun(BASE, directory).run(Optional.of(base), new Seen()))
        .hasMessage("tiny-base starts anew: it goes on from no model.");
    assertThatThrownBy(
            () ->
                new RecipeRun(CHAT, directory)
                    .run(Optional.of(base), Optional.of(base), new Seen()))
        .hasMessage("tiny-chat learns from no other model.");
    Recipe proxy = Recipes.named("proxy").orElseThrow();
    assertThatThrownBy(() -> new RecipeRun(proxy, directory).run(Optional.of(base), new Seen()))
        .hasMessage("proxy learns from a model of recipe chat-v1: say where it is.");
    Path output = directory.resolve("proxy-of-tiny");
    assertThatThrownBy(
            () ->
                new RecipeRun(proxy, output)
                    .run(
                        Optional.of(BundledModels.unpack("proxy-base")),
                        Optional.of(chat),
                        new Seen()))
        .isInstanceOfSatisfying(
            EngineException.class, e -> assertThat(e.kind()).isEqualTo(Kind.MODEL))
        .hasMessageContaining("reads 256 tokens, texts of recipe proxy have up to 1024");
  }
}
