package dev.whence.cli;

import dev.whence.samples.recipes.Recipe;
import dev.whence.samples.recipes.Recipes;
import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.Policies;
import dev.whence.transfer.recycle.Comparison;
import dev.whence.transfer.recycle.FineTuner;
import dev.whence.transfer.recycle.Recycling;
import dev.whence.transfer.recycle.TextFineTuner;
import dev.whence.transfer.report.RecyclingReport;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Fine-tuning that goes from base version to base version. */
@Command(
    name = "recycle",
    description = {
      "Fine-tunes a series of base versions, each from what the one before has learnt.",
      "A version begins with the difference that fine-tuning made to the one before:"
          + " M*_i = finetune(M_i + delta_(i-1)), delta_i = M*_i - M_i.",
      "A run that was cut off goes on when the same command is given again."
    },
    mixinStandardHelpOptions = true)
final class TransferRecycleCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(
      names = "--bases",
      required = true,
      split = ",",
      paramLabel = "M",
      description = "base versions, the oldest first")
  private List<String> bases = List.of();

  @Option(
      names = "--fine-tuned",
      paramLabel = "F",
      description = "what came of the oldest by fine-tuning, if it is there: else it is made")
  private Optional<String> first = Optional.empty();

  @Option(
      names = "--recipe",
      split = ",",
      paramLabel = "RECIPE",
      description = "how to fine-tune: one for all versions, or one for each")
  private List<String> recipes = List.of();

  @Mixin private TrainingTextOptions texts = new TrainingTextOptions();

  @Option(
      names = "--evaluation",
      converter = Models.PathOrBucket.class,
      paramLabel = "F.jsonl",
      description = "with texts of one's own: complete records that are not among them")
  private Optional<Path> evaluation = Optional.empty();

  @Option(
      names = "--steps",
      paramLabel = "N",
      description =
          "of fine-tuning after a transfer (default: half of the shortest recipe's, or 100 on texts)")
  private Optional<Long> steps = Optional.empty();

  @Option(
      names = "--direct",
      split = ",",
      paramLabel = "N",
      description = {
        "fine-tunes every version but the oldest anew, too, in so many steps, and writes what came",
        "of both ways to recycling.md and recycling.html; several numbers are several runs"
      })
  private List<Long> direct = List.of();

  @Option(
      names = "--measurements",
      defaultValue = "6",
      paramLabel = "N",
      description = "of a training, at even distances (default: ${DEFAULT-VALUE})")
  private long measurements;

  @Option(
      names = "--lambda",
      defaultValue = "1",
      paramLabel = "L",
      description = "factor of the differences (default: ${DEFAULT-VALUE})")
  private double lambda;

  @Option(
      names = "--policy",
      paramLabel = "NAME=VALUE",
      description = "where two versions do not match, as for 'transfer run'")
  private Map<String, String> policies = Map.of();

  @Option(names = "--output", required = true, paramLabel = "D", description = "a directory")
  private Path output;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  TransferRecycleCommand() {}

  @Override
  public Integer call() throws IOException {
    if (recipes.isEmpty() == !texts.given()) {
      throw new UsageException(
          "give either --recipe, or --corpus or --conversations with --evaluation");
    }
    ProgressBar bar = ProgressBar.on(spec.commandLine().getErr());
    long whole = recipes.isEmpty() ? 200 : recipes().get(0).steps();
    long most = recipes.isEmpty() ? whole : mostSteps();
    long recycled = steps.orElse(Math.max(1, most / 2));
    check(most, recycled);
    List<Recycling.Base> versions =
        bases.stream().map(name -> new Recycling.Base(name(name), Models.resolve(name))).toList();
    Recycling recycling;
    try {
      recycling =
          new Recycling(
              versions,
              first.map(Models::resolve),
              lambda,
              Policies.of(policies),
              tuner(bar),
              bar::note);
    } catch (IllegalArgumentException | TransferException e) {
      throw new UsageException(String.valueOf(e.getMessage()));
    }
    NativeEnd.prepare();
    List<Recycling.Round> rounds = recycling.run(whole, recycled, output);
    PrintWriter out = spec.commandLine().getOut();
    rounds.forEach(round -> out.println(round.fineTuned()));
    if (!direct.isEmpty()) {
      compare(recycling, rounds, tuner(bar), bar);
      out.println(output.resolve("recycling.html"));
    }
    out.flush();
    return Whence.DONE;
  }

  private void compare(
      Recycling recycling, List<Recycling.Round> rounds, FineTuner tuner, ProgressBar bar)
      throws IOException {
    List<Comparison> comparisons = new ArrayList<>();
    for (int i = 1; i < rounds.size(); i++) {
      bar.note("fine-tuning " + rounds.get(i).base().name() + " anew");
      comparisons.add(Comparison.of(recycling, rounds.get(i), i, tuner, direct, output));
    }
    String what =
        (recipes.isEmpty()
                ? "Training on texts, measured on " + evaluation.orElseThrow().getFileName()
                : "Recipe " + String.join(", ", recipes))
            + ", bases "
            + String.join(", ", bases)
            + (lambda == 1 ? "." : ", lambda " + lambda + ".");
    Files.writeString(output.resolve("recycling.md"), RecyclingReport.markdown(comparisons, what));
    Files.writeString(output.resolve("recycling.html"), RecyclingReport.html(comparisons, what));
  }

  /** What every version but the oldest can be fine-tuned in: the shortest of their recipes. */
  private long mostSteps() {
    return recipes().stream()
        .skip(1)
        .mapToLong(Recipe::steps)
        .min()
        .orElseThrow(
            () -> new UsageException("recycling goes from one base version to the next: give two"));
  }

  private void check(long most, long recycled) {
    checkSteps("--steps", recycled, most);
    direct.forEach(one -> checkSteps("--direct", one, most));
    OptionRange.atLeast("--measurements", measurements, 1);
    if (!Double.isFinite(lambda)) {
      throw new UsageException("--lambda is " + lambda + ", but must be a finite number");
    }
  }

  private void checkSteps(String option, long value, long most) {
    if (recipes.isEmpty()) {
      OptionRange.atLeast(option, value, 1);
    } else {
      OptionRange.check(option, value, 1, most);
    }
  }

  private FineTuner tuner(ProgressBar bar) {
    if (!recipes.isEmpty()) {
      return new RecipeFineTuner(recipes(), measurements, bar);
    }
    if (evaluation.isEmpty()) {
      throw new UsageException("texts of one's own need --evaluation");
    }
    InputFile.check("--evaluation", evaluation.get());
    return new TextFineTuner(
        (model, n) -> texts.from(model, n, Math.max(1, n / measurements)),
        evaluation.get(),
        new TrainingProgress(bar, 0));
  }

  private List<Recipe> recipes() {
    if (recipes.size() != 1 && recipes.size() != bases.size()) {
      throw new UsageException(
          "give one recipe for all versions, or one for each: there are "
              + recipes.size()
              + " for "
              + bases.size());
    }
    List<Recipe> all = new ArrayList<>();
    for (int i = 0; i < bases.size(); i++) {
      String name = recipes.get(recipes.size() == 1 ? 0 : i);
      Recipe recipe =
          Recipes.named(name)
              .orElseThrow(
                  () ->
                      new UsageException(
                          "there is no recipe '" + name + "'; 'whence train list' shows them"));
      if (recipe.from().isEmpty()) {
        throw new UsageException("recipe " + name + " starts anew: it fine-tunes no model");
      }
      if (recipe.teacher().isPresent()) {
        throw new UsageException(
            "recipe " + name + " learns from a teacher, whose place can not be said here");
      }
      all.add(recipe);
    }
    return all;
  }

  /** What a version's directory is called by. */
  private static String name(String model) {
    return String.valueOf(Path.of(model).getFileName());
  }
}
