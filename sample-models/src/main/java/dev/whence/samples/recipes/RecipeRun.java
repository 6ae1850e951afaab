package dev.whence.samples.recipes;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.text.NativeTokenizer;
import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.training.Score;
import dev.whence.engine.training.StepReport;
import dev.whence.engine.training.Teacher;
import dev.whence.engine.training.TrainedModel;
import dev.whence.engine.training.Trainer;
import dev.whence.engine.training.TrainingOptions;
import dev.whence.engine.training.TrainingRun;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.samples.ChatMl;
import dev.whence.samples.Question;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Makes a model by a recipe. The output directory gets the model in Hugging Face layout, and while
 * it is made, checkpoints: the same command goes on where a run was cut off.
 */
public final class RecipeRun {
  /** Who looks on. */
  public interface Listener extends TrainingRun.Listener {
    /** What the model can do at a checkpoint, by set of questions. */
    void evaluated(long step, Map<String, Score> scores);

    /**
     * Whether a checkpoint that the run goes on from is to be evaluated again: it may have been cut
     * off before it had told.
     */
    default boolean asksAgain(long step) {
      return false;
    }
  }

  private static final int QUESTIONS = 50;
  private static final String CHECKPOINTS = "checkpoints";

  private final Recipe recipe;
  private final Path output;

  /**
   * @param output the model's directory; made where it is missing
   */
  public RecipeRun(Recipe recipe, Path output) {
    this.recipe = recipe;
    this.output = output;
  }

  /**
   * Trains, and writes the model.
   *
   * @param from directory of the model that the recipe goes on from; empty if it starts anew
   * @throws EngineException as {@link TrainingRun#run}; of kind MODEL if {@code from} is of another
   *     shape than the recipe's, or is missing or not wanted; ENVIRONMENT if the model can not be
   *     written
   */
  public void run(Optional<Path> from, Listener listener) {
    run(from, /* teacher= */ Optional.empty(), listener);
  }

  /**
   * As {@link #run(Optional, Listener)}.
   *
   * @param teacher directory of the model whose likelihoods the recipe learns, if it does
   * @throws EngineException also of kind MODEL if {@code teacher} is missing, not wanted, reads
   *     less than the recipe's texts, or has no token that ends a turn of their chat format
   */
  public void run(Optional<Path> from, Optional<Path> teacher, Listener listener) {
    if (from.isPresent() != recipe.from().isPresent()) {
      throw new EngineException(
          Kind.MODEL,
          recipe.name()
              + recipe
                  .from()
                  .map(base -> " goes on from a model of recipe " + base + ": say where it is.")
                  .orElse(" starts anew: it goes on from no model."));
    }
    if (teacher.isPresent() != recipe.teacher().isPresent()) {
      throw new EngineException(
          Kind.MODEL,
          recipe.name()
              + recipe
                  .teacher()
                  .map(one -> " learns from a model of recipe " + one + ": say where it is.")
                  .orElse(" learns from no other model."));
    }
    TrainedModel.checkPlace(output, output.resolve(CHECKPOINTS), from);
    if (from.isPresent()) {
      goOn(from.get(), teacher, listener);
    } else {
      startAnew(listener);
    }
  }

  private void startAnew(Listener listener) {
    ModelConfig config = ModelConfig.parse(recipe.architecture().config(), recipe.name());
    Map<String, byte[]> files =
        new TreeMap<>(SampleTokenizer.files(config.vocabularySize(), config.maxPositions()));
    files.put("config.json", recipe.architecture().config().getBytes(StandardCharsets.UTF_8));
    try (Tokenizer tokenizer = tokenizer(files);
        Trainer trainer =
            Trainer.initialise(
                config, recipe.initialisation().apply(tokenizer), recipe.training())) {
      train(
          trainer,
          recipe.data().apply(tokenizer),
          tokenizer,
          "new parameters " + trainer.digest(),
          files,
          listener);
    }
  }

  private Tokenizer tokenizer(Map<String, byte[]> files) {
    try {
      return NativeTokenizer.of(
          new ObjectMapper().readTree(files.get("tokenizer.json")), recipe.name());
    } catch (IOException e) {
      throw new IllegalStateException("a tokenizer that was just written is JSON", e);
    }
  }

  /**
   * What a model of the recipe's shape can do, by set of questions, without any training.
   *
   * @throws EngineException of kind MODEL if it can not be read
   */
  public static Map<String, Score> evaluate(Recipe recipe, Path model) {
    try (ModelFiles files = ModelFiles.open(model);
        Trainer trainer = Trainer.from(files.config(), files.weights(), recipe.training())) {
      return evaluation(recipe, files.tokenizer()).of(trainer);
    }
  }

  /**
   * Of all that was evaluated what the recipe is for: questions about what a context says, if its
   * model reads; else those from memory that it may be asked in training.
   */
  public static Score purpose(Recipe recipe, Map<String, Score> scores) {
    return scores.entrySet().stream()
        .filter(
            set ->
                recipe.reads()
                    ? !set.getKey().startsWith(Evaluation.MEMORY)
                    : set.getKey().equals(Evaluation.ASKED))
        .map(Map.Entry::getValue)
        .reduce(Score.NONE, Score::plus);
  }

  private void goOn(Path from, Optional<Path> teacher, Listener listener) {
    try (ModelFiles files = ModelFiles.open(from)) {
      ModelConfig wanted = ModelConfig.parse(recipe.architecture().config(), recipe.name());
      if (!files.config().equals(wanted)) {
        throw new EngineException(
            Kind.MODEL,
            from
                + " is of another shape than recipe "
                + recipe.name()
                + " is for: no model of "
                + recipe.from().orElseThrow()
                + ".");
      }
      try (Trainer trainer = Trainer.from(files.config(), files.weights(), recipe.training())) {
        Map<String, byte[]> beside = TrainedModel.filesOf(from);
        Mixture data = recipe.data().apply(files.tokenizer());
        if (teacher.isEmpty()) {
          train(trainer, data, files.tokenizer(), files.digest(), beside, listener);
        } else {
          trainTaught(trainer, data, files, beside, teacher.get(), listener);
        }
      }
    }
  }

  private void trainTaught(
      Trainer student,
      Mixture data,
      ModelFiles files,
      Map<String, byte[]> beside,
      Path from,
      Listener listener) {
    TrainingOptions training = recipe.training();
    try (ModelFiles teacherFiles = ModelFiles.open(from)) {
      check(teacherFiles, from);
      try (Teacher teacher = Teacher.of(teacherFiles, training.engine(), training.packTokens())) {
        train(
            student,
            data.taughtBy(teacher),
            files.tokenizer(),
            files.digest() + ", taught by " + teacherFiles.digest(),
            beside,
            listener);
      }
    }
  }

  /**
   * Refuses a teacher at once that could not read a text of some later step: one that reads fewer
   * tokens than the student, or not its chat format. Where it splits texts into more tokens than
   * the student does, the step is told at which it can not go on.
   */
  private void check(ModelFiles teacher, Path from) {
    int positions = recipe.architecture().positions();
    if (teacher.config().maxPositions() < positions) {
      throw new EngineException(
          Kind.MODEL,
          String.format(
              Locale.ROOT,
              "%s reads %d tokens, texts of recipe %s have up to %d: take another teacher.",
              from,
              teacher.config().maxPositions(),
              recipe.name(),
              positions));
    }
    if (recipe.chats() && teacher.tokenizer().idOf(ChatMl.END) < 0) {
      throw new EngineException(
          Kind.MODEL,
          String.format(
              Locale.ROOT,
              "%s has no token %s: it does not know the chat format of recipe %s. Take another"
                  + " teacher.",
              from,
              ChatMl.END,
              recipe.name()));
    }
  }

  /**
   * Trains, and writes the model.
   *
   * @param files of the model besides its weights
   */
  private void train(
      Trainer trainer,
      Mixture data,
      Tokenizer tokenizer,
      String start,
      Map<String, byte[]> files,
      Listener listener) {
    new TrainingRun(
            output.resolve(CHECKPOINTS),
            recipe.steps(),
            recipe.checkpointEvery(),
            purpose(data, start))
        .run(
            trainer,
            data,
            evaluating(tokenizer, listener),
            () -> TrainedModel.write(output, files, trainer, recipe.stored()));
  }

  /**
   * What is trained on what. A recipe may change from version to version under its name: its
   * numbers and some of its batches are in it, so that checkpoints of an earlier one are refused.
   */
  private String purpose(Mixture data, String start) {
    TrainingOptions training = recipe.training();
    StringBuilder batches = new StringBuilder();
    for (int quarter = 0; quarter <= 4; quarter++) {
      batches.append(data.fingerprint(Math.max(1, recipe.steps() * quarter / 4)));
    }
    return String.join(
        ", ",
        "recipe " + recipe.name(),
        "seed " + recipe.seed(),
        "steps " + recipe.steps(),
        String.valueOf(training.schedule()),
        "betas " + training.beta1() + " and " + training.beta2(),
        "epsilon " + training.epsilon(),
        "decay " + training.weightDecay(),
        "clipping at " + training.clipNorm(),
        "packs of " + training.packTokens(),
        "workers " + training.workers(),
        "batches " + Integer.toHexString(batches.toString().hashCode()),
        "from " + start);
  }

  private static Evaluation evaluation(Recipe recipe, Tokenizer tokenizer) {
    return Evaluation.of(
        recipe.world().get(),
        recipe.reads(),
        tokenizer,
        recipe.chats() ? Question::training : Question::exercise,
        QUESTIONS);
  }

  private TrainingRun.Listener evaluating(Tokenizer tokenizer, Listener listener) {
    Evaluation evaluation = evaluation(recipe, tokenizer);
    return new TrainingRun.Listener() {
      @Override
      public void stepped(StepReport report) {
        listener.stepped(report);
      }

      @Override
      public void checkpointed(Trainer trainer) {
        listener.checkpointed(trainer);
        listener.evaluated(trainer.step(), evaluation.of(trainer));
      }

      @Override
      public void resumed(long step) {
        listener.resumed(step);
      }

      @Override
      public void restored(Trainer trainer) {
        listener.restored(trainer);
        if (listener.asksAgain(trainer.step())) {
          listener.evaluated(trainer.step(), evaluation.of(trainer));
        }
      }

      @Override
      public void passedOver(String sentence) {
        listener.passedOver(sentence);
      }
    };
  }
}
