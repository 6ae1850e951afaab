package dev.whence.samples.recipes;

import dev.whence.engine.training.NormalInitialisation;
import dev.whence.engine.training.Schedule;
import dev.whence.engine.training.Score;
import dev.whence.engine.training.StepReport;
import dev.whence.engine.training.TrainingOptions;
import dev.whence.engine.weights.ElementType;
import dev.whence.samples.recipes.Architecture.Family;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Writes the models that {@code src/test/fixtures/transformers_reads.py} reads: run it in the
 * module's directory, then the script.
 */
final class TransformersModels {
  static final Path HOME = Path.of("src/test/resources/fixtures/transformers");

  private TransformersModels() {}

  private static final class Silent implements RecipeRun.Listener {
    @Override
    public void stepped(StepReport report) {}

    @Override
    public void evaluated(long step, Map<String, Score> shares) {}
  }

  public static void main(String[] args) throws IOException {
    Recipe tiny = Recipes.named("tiny-base").orElseThrow();
    Path base = Files.createTempDirectory("tiny-base");
    new RecipeRun(tiny, base).run(Optional.empty(), new Silent());
    Path chat = HOME.resolve("tiny-chat");
    new RecipeRun(Recipes.named("tiny-chat").orElseThrow(), chat)
        .run(Optional.of(base), new Silent());
    Path neox = HOME.resolve("tiny-neox");
    new RecipeRun(neox(tiny), neox).run(Optional.empty(), new Silent());
    delete(chat.resolve("checkpoints"));
    delete(neox.resolve("checkpoints"));
    delete(base);
  }

  /** Hardly trained: its biases and norms are no longer what they began as. */
  static Recipe neox(Recipe tiny) {
    return new Recipe(
        "tiny-neox",
        "a GPT-NeoX shape after a few steps",
        Optional.empty(),
        tiny.world(),
        false,
        false,
        new Architecture(Family.GPT_NEOX, 512, 32, 2, 4, 8, 48, 256),
        tokenizer -> new NormalInitialisation(0.3, true, 3),
        TrainingOptions.of(new Schedule.Constant(1e-2, 2)),
        20,
        20,
        1,
        tiny.data(),
        ElementType.F32);
  }

  static void delete(Path directory) throws IOException {
    try (Stream<Path> all = Files.walk(directory)) {
      for (Path path : all.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(path);
      }
    }
  }
}
