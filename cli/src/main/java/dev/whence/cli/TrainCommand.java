package dev.whence.cli;

import dev.whence.engine.training.FineTuning;
import dev.whence.samples.BundledModels;
import dev.whence.samples.recipes.Recipe;
import dev.whence.samples.recipes.RecipeRun;
import dev.whence.samples.recipes.RecipeTexts;
import dev.whence.samples.recipes.Recipes;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Makes a sample model by its recipe, or trains a model on one's own texts. */
@Command(
    name = "train",
    description = {
      "Makes a sample model by its recipe, or goes on from a model with texts of one's own.",
      "A run that was cut off goes on when the same command is given again."
    },
    mixinStandardHelpOptions = true)
final class TrainCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Parameters(
      arity = "0..1",
      paramLabel = "RECIPE",
      description = "of a sample model; 'list' shows them; without: texts of one's own")
  private Optional<String> recipe = Optional.empty();

  @Option(
      names = "--output",
      paramLabel = "DIR",
      description = "the model's directory (default: whence-data/models/RECIPE)")
  private Optional<Path> output = Optional.empty();

  @Option(
      names = "--from",
      paramLabel = "M",
      description =
          "the model to go on from (default of a recipe: the one that it names, made here before,"
              + " else the one that ships)")
  private Optional<String> from = Optional.empty();

  @Option(
      names = "--teacher",
      paramLabel = "M",
      description =
          "the model whose likelihoods a recipe learns, if it learns from one (default: the one that"
              + " it names, made here before, else the one that ships)")
  private Optional<String> teacher = Optional.empty();

  @Option(
      names = "--write-corpus",
      paramLabel = "F.jsonl",
      description =
          "writes the documents that the recipe's model learns by heart, with the facts that they"
              + " state, instead of training")
  private Optional<Path> writeCorpus = Optional.empty();

  @Option(
      names = "--write-mixture",
      paramLabel = "F.jsonl",
      description =
          "writes what the recipe's training sees to make it likely, in its order, instead of"
              + " training: what the curvature of its loss is computed from")
  private Optional<Path> writeMixture = Optional.empty();

  @Option(
      names = "--every",
      defaultValue = "1",
      description = "with --write-mixture: only every so manyth step (${DEFAULT-VALUE})")
  private int every;

  @Mixin private TrainingTextOptions texts = new TrainingTextOptions();

  @Option(names = "--steps", defaultValue = "200", description = "default: ${DEFAULT-VALUE}")
  private long steps;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  TrainCommand() {}

  @Override
  public Integer call() throws Exception {
    if (recipe.isPresent() && recipe.get().equals("list")) {
      list();
      return Whence.DONE;
    }
    NativeEnd.prepare();
    if (recipe.isPresent()) {
      byRecipe(recipe.get());
    } else {
      ownTexts();
    }
    return Whence.DONE;
  }

  private void list() {
    PrintWriter out = spec.commandLine().getOut();
    for (Recipe one : Recipes.ALL) {
      out.printf(Locale.ROOT, "%-10s %s%n", one.name(), one.summary());
    }
    out.flush();
  }

  private void byRecipe(String name) throws IOException {
    List<String> own = new ArrayList<>(TrainingTextOptions.NAMES);
    own.add("--steps");
    for (String option : own) {
      if (spec.commandLine().getParseResult().hasMatchedOption(option)) {
        throw new UsageException(
            "a recipe brings its own texts and numbers: leave out RECIPE, or " + option);
      }
    }
    Recipe wanted =
        Recipes.named(name)
            .orElseThrow(
                () ->
                    new UsageException(
                        "there is no recipe '" + name + "'; 'whence train list' shows them"));
    if (teacher.isPresent() && wanted.teacher().isEmpty()) {
      throw new UsageException(
          "recipe " + name + " learns from no other model: leave out --teacher");
    }
    if (writeCorpus.isPresent()) {
      OutputFile.checkWritable("--write-corpus", writeCorpus.get());
      new RecipeTexts(wanted).writeDocuments(writeCorpus.get());
      return;
    }
    if (writeMixture.isPresent()) {
      OptionRange.atLeast("--every", every, 1);
      OutputFile.checkWritable("--write-mixture", writeMixture.get());
      new RecipeTexts(wanted).writeMixture(writeMixture.get(), every);
      return;
    }
    Path directory = output.orElse(models().resolve(name));
    new RecipeRun(wanted, directory).run(start(wanted), teacher(wanted), listener(wanted.steps()));
    done(directory);
  }

  /** Where a recipe begins: as asked for, else what was made here, else what ships. */
  private Optional<Path> start(Recipe wanted) throws IOException {
    if (from.isPresent()) {
      return Optional.of(Models.resolve(from.get()));
    }
    if (wanted.from().isEmpty()) {
      return Optional.empty();
    }
    return Optional.of(
        madeOrBundled(wanted.name() + " goes on from ", wanted.from().get(), "--from"));
  }

  /** Whom a recipe learns likelihoods from: as asked for, else what was made here, or ships. */
  private Optional<Path> teacher(Recipe wanted) throws IOException {
    if (teacher.isPresent()) {
      return Optional.of(Models.resolve(teacher.get()));
    }
    if (wanted.teacher().isEmpty()) {
      return Optional.empty();
    }
    return Optional.of(
        madeOrBundled(wanted.name() + " is taught by ", wanted.teacher().get(), "--teacher"));
  }

  private static Path madeOrBundled(String what, String base, String option) throws IOException {
    Path made = models().resolve(base);
    if (!Files.exists(made.resolve("model.safetensors")) && !BundledModels.has(base)) {
      throw new UsageException(
          what
              + base
              + ", which does not ship: make it first with 'whence train "
              + base
              + "', or say with "
              + option
              + " where it is");
    }
    return Files.exists(made.resolve("model.safetensors")) ? made : BundledModels.unpack(base);
  }

  private static Path models() {
    return Path.of("whence-data", "models");
  }

  private void ownTexts() {
    if (teacher.isPresent()) {
      throw new UsageException("--teacher goes with a RECIPE that learns from one");
    }
    if (from.isEmpty() || output.isEmpty()) {
      throw new UsageException(
          "name a RECIPE, or give --from, --output and --corpus or --conversations");
    }
    OptionRange.atLeast("--steps", steps, 1);
    FineTuning job = texts.from(Models.resolve(from.get()), steps, Math.max(1, steps / 10));
    job.run(output.get(), listener(steps));
    done(output.get());
  }

  private void done(Path directory) {
    spec.commandLine().getOut().println(directory);
    spec.commandLine().getOut().flush();
  }

  private RecipeRun.Listener listener(long total) {
    return new TrainingProgress(ProgressBar.on(spec.commandLine().getErr()), total);
  }
}
