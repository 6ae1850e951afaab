package dev.whence.cli;

import dev.whence.engine.training.FineTuning;
import dev.whence.engine.training.Schedule;
import dev.whence.engine.training.TrainingOptions;
import dev.whence.engine.weights.ElementType;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import picocli.CommandLine.Option;

/** Training on texts of one's own. */
final class TrainingTextOptions {
  /** All but the number of steps. */
  static final List<String> NAMES =
      List.of(
          "--corpus",
          "--conversations",
          "--examples",
          "--learning-rate",
          "--parameters",
          "--store",
          "--seed",
          "--pack-tokens");

  private static final long WARMUP_SHARE = 20;

  /** Of one step: all of them are in memory. */
  private static final int MOST_EXAMPLES = 1_000_000;

  @Option(
      names = "--corpus",
      converter = Models.PathOrBucket.class,
      paramLabel = "F.jsonl",
      description =
          "documents: a JSON object with \"text\" per line, and perhaps \"lossWeight\" and"
              + " \"lossWeights\": [[start, end, weight]]")
  private List<Path> corpora = List.of();

  @Option(
      names = "--conversations",
      converter = Models.PathOrBucket.class,
      paramLabel = "F.jsonl",
      description = "complete records; only responses are learnt")
  private List<Path> conversations = List.of();

  @Option(names = "--examples", defaultValue = "16", description = "per step (${DEFAULT-VALUE})")
  private int examples = 16;

  @Option(
      names = "--learning-rate",
      defaultValue = "1e-4",
      description = "peak; rises over the first twentieth, falls along a cosine (${DEFAULT-VALUE})")
  private double rate = 1e-4;

  @Option(
      names = "--parameters",
      paramLabel = "REGEX",
      description = "only parameters whose name matches are trained")
  private Optional<String> parameters = Optional.empty();

  @Option(
      names = "--store",
      defaultValue = "F32",
      paramLabel = "F32|BF16|F16",
      description = "element type of the weights on disk (${DEFAULT-VALUE})")
  private ElementType store = ElementType.F32;

  @Option(names = "--seed", defaultValue = "1")
  private long seed = 1;

  @Option(
      names = "--pack-tokens",
      defaultValue = "4096",
      description =
          "of one forward and backward pass: fewer need less memory, and a document takes as many"
              + " as it has (${DEFAULT-VALUE})")
  private int packTokens = 4096;

  /** Whether there is something to learn. */
  boolean given() {
    return !corpora.isEmpty() || !conversations.isEmpty();
  }

  /**
   * The training that goes on from a model.
   *
   * @throws UsageException if it can not be done so
   */
  FineTuning from(Path model, long steps, long checkpointEvery) {
    if (!(rate > 0 && rate < 1e6)) {
      throw new UsageException(
          "--learning-rate is " + rate + ", but must be above 0 and below 1000000");
    }
    OptionRange.check("--examples", examples, 1, MOST_EXAMPLES);
    OptionRange.atLeast("--pack-tokens", packTokens, 1);
    Schedule schedule = new Schedule.Cosine(rate, rate / 10, steps / WARMUP_SHARE, steps);
    FineTuning job;
    try {
      job =
          new FineTuning(
              model,
              corpora,
              conversations,
              TrainingOptions.of(schedule).withTrained(trained()).withPackTokens(packTokens),
              steps,
              examples,
              checkpointEvery,
              seed,
              store);
    } catch (IllegalArgumentException e) {
      throw new UsageException(String.valueOf(e.getMessage()));
    }
    corpora.forEach(file -> InputFile.check("--corpus", file));
    conversations.forEach(file -> InputFile.check("--conversations", file));
    return job;
  }

  private Predicate<String> trained() {
    if (parameters.isEmpty()) {
      return name -> true;
    }
    OptionRange.notEmpty("--parameters", parameters.get());
    try {
      return Pattern.compile(parameters.get()).asPredicate();
    } catch (PatternSyntaxException e) {
      throw new UsageException("--parameters: " + e.getMessage());
    }
  }
}
