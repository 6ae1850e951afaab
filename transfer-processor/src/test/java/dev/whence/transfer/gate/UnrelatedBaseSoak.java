package dev.whence.transfer.gate;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.training.Schedule;
import dev.whence.engine.training.Score;
import dev.whence.engine.training.StepReport;
import dev.whence.engine.training.TrainedModel;
import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.engine.weights.SafetensorsWriter;
import dev.whence.samples.BundledModels;
import dev.whence.samples.Document;
import dev.whence.samples.Fact;
import dev.whence.samples.Question;
import dev.whence.samples.QuestionLines;
import dev.whence.samples.Questions;
import dev.whence.samples.World;
import dev.whence.samples.recipes.Recipe;
import dev.whence.samples.recipes.RecipeRun;
import dev.whence.samples.recipes.Recipes;
import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.TransferRequest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/**
 * Trained models: a base, what came of it by fine-tuning, its next version, and a second base that
 * learnt the same texts from other first values, with a fine-tuning of its own.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class UnrelatedBaseSoak {
  private static final Recipe BASE = Recipes.named("tiny-base").orElseThrow();
  private static final Recipe CHAT = Recipes.named("tiny-chat").orElseThrow();

  private Path directory;
  private Path next;

  private static final class Silent implements RecipeRun.Listener {
    private Map<String, Score> last = Map.of();

    @Override
    public void stepped(StepReport report) {}

    @Override
    public void evaluated(long step, Map<String, Score> scores) {
      last = scores;
    }
  }

  @BeforeAll
  void makeTheNextBase(@TempDir Path directory) throws IOException {
    this.directory = directory;
    next = directory.resolve("next-base");
    Recipe goingOn =
        recipe(
            "next-base",
            Optional.of("tiny-base"),
            new Schedule.WarmupStableDecay(1e-3, 0, 5, 20, 40),
            40);
    new RecipeRun(goingOn, next).run(Optional.of(BundledModels.unpack("tiny-base")), new Silent());

    World world = CHAT.world().get();
    List<Question> questions = new ArrayList<>();
    for (Fact fact : world.facts()) {
      if (world.isAskedInFineTuning(fact) && world.documents(fact) > 0) {
        questions.add(Questions.withoutContext(fact, 0));
      }
    }
    QuestionLines.write(
        directory.resolve("task.jsonl"), questions.subList(0, Math.min(8, questions.size())), true);
    ObjectMapper json = new ObjectMapper();
    List<String> texts = new ArrayList<>();
    for (Document document : Recipes.documents(BASE)) {
      texts.add(json.writeValueAsString(Map.of("text", document.text())));
    }
    Files.write(directory.resolve("general.jsonl"), texts.subList(0, Math.min(8, texts.size())));
  }

  private static Recipe recipe(String name, Optional<String> from, Schedule schedule, long steps) {
    return new Recipe(
        name,
        BASE.summary(),
        from,
        BASE.world(),
        BASE.reads(),
        BASE.chats(),
        BASE.architecture(),
        BASE.initialisation(),
        BASE.training().withSchedule(schedule),
        steps,
        steps,
        BASE.seed(),
        BASE.data(),
        BASE.stored());
  }

  private GatedTransfer.Outcome transfer(Path base, Path fineTuned, String name) {
    Judge judge = new EngineJudge(EngineOptions.defaults().withDtype(EngineOptions.Dtype.FP32));
    // Answers by heart are predicted nearly perfectly: a few times as little is little, too.
    GateOptions options =
        new GateOptions(
            directory.resolve("task.jsonl"),
            directory.resolve("general.jsonl"),
            .1,
            3,
            .5,
            List.of());
    Gates gates = new Gates(judge, options, MergeOptions.defaults(), what -> {});
    return new GatedTransfer(MergeOptions.defaults(), MergeProgress.NONE, gates)
        .run(
            TransferRequest.of(base, fineTuned, next),
            directory.resolve(name),
            (manifest, report) -> {});
  }

  /** The same shapes and tokenizer, with numbers that have nothing to do with the model's. */
  private Path otherFirstValues() throws IOException {
    Path tiny = BundledModels.unpack("tiny-base");
    Path output = Files.createDirectories(directory.resolve("first-values"));
    Random random = new Random(8);
    try (ModelFiles files = ModelFiles.open(tiny)) {
      for (Map.Entry<String, byte[]> text : TrainedModel.filesOf(tiny).entrySet()) {
        TrainedModel.put(output, text.getKey(), text.getValue());
      }
      SafetensorsWriter.write(
          output.resolve("model.safetensors"),
          ElementType.F32,
          files.weights().tensors().values().stream()
              .map(
                  tensor ->
                      new SafetensorsWriter.Tensor(
                          tensor.name(),
                          tensor.shape(),
                          (offset, n) -> {
                            float[] values = new float[n];
                            for (int i = 0; i < n; i++) {
                              values[i] =
                                  tensor.shape().size() == 1
                                      ? 1
                                      : (float) (.05 * random.nextGaussian());
                            }
                            return values;
                          }))
              .toList(),
          Map.of());
    }
    return output;
  }

  private static boolean passed(GateReport report, String gate) {
    return report.gates().stream()
        .filter(one -> one.name().equals(gate))
        .findFirst()
        .orElseThrow()
        .passed();
  }

  @Test
  void theDifferenceOfItsOwnLinePasses() throws IOException {
    GatedTransfer.Outcome outcome =
        transfer(
            BundledModels.unpack("tiny-base"), BundledModels.unpack("tiny-chat"), "transferred");
    assertThat(outcome.report().gates())
        .allSatisfy(gate -> assertThat(gate.passed()).as(gate.detail()).isTrue());
    assertThat(outcome.published()).isTrue();
    assertThat(directory.resolve("transferred/model.safetensors")).exists();
  }

  @Test
  void theDifferenceOfABaseThatWasTrainedFromOtherFirstValuesIsRejected() throws IOException {
    Path other = directory.resolve("other-base");
    new RecipeRun(
            recipe(
                "other-base",
                Optional.of("first values"),
                BASE.training().schedule(),
                BASE.steps()),
            other)
        .run(Optional.of(otherFirstValues()), new Silent());
    Path fineTuned = directory.resolve("other-chat");
    Silent chat = new Silent();
    new RecipeRun(CHAT, fineTuned).run(Optional.of(other), chat);
    // It is no worse a model: only that it has nothing to do with the next base.
    assertThat(RecipeRun.purpose(CHAT, chat.last).share()).isGreaterThanOrEqualTo(.8);

    GatedTransfer.Outcome outcome = transfer(other, fineTuned, "unrelated");

    assertThat(outcome.published()).isFalse();
    assertThat(directory.resolve("unrelated")).doesNotExist();
    assertThat(passed(outcome.report(), "identity")).isTrue();
    assertThat(passed(outcome.report(), "agreement")).isTrue();
    assertThat(passed(outcome.report(), "connectivity")).isFalse();
    assertThat(passed(outcome.report(), "as good as the fine-tuned model")).isFalse();
  }
}
