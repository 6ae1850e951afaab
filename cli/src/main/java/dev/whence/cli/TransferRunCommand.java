package dev.whence.cli;

import dev.whence.transfer.gate.CommandJudge;
import dev.whence.transfer.gate.GateOptions;
import dev.whence.transfer.gate.GatesFile;
import dev.whence.transfer.merge.TransferPlan;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** The merge, gated or not. */
@Command(
    name = "run",
    description = "Merges, with --gates measures, and publishes by one rename.",
    mixinStandardHelpOptions = true)
final class TransferRunCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private TransferRequestOptions request = new TransferRequestOptions();

  @Mixin private TransferOutputOptions output = new TransferOutputOptions();

  @Option(
      names = "--gates",
      description = "publishes only what passes the gates; needs the two sets")
  private boolean gated;

  private static final Duration LONGEST_JUDGE = Duration.ofHours(100);

  private static final List<String> OF_GATES =
      List.of(
          "--task-set",
          "--general-set",
          "--sweep",
          "--barrier-limit",
          "--task-tolerance",
          "--general-tolerance",
          "--judge",
          "--judge-timeout",
          "--dtype",
          "--report");

  @Option(
      names = "--task-set",
      converter = Models.PathOrBucket.class,
      paramLabel = "F.jsonl",
      description = "what fine-tuning was for: conversations, or objects with a text")
  private Optional<Path> taskSet = Optional.empty();

  @Option(
      names = "--general-set",
      converter = Models.PathOrBucket.class,
      paramLabel = "F.jsonl",
      description = "what must not be forgotten")
  private Optional<Path> generalSet = Optional.empty();

  @Option(
      names = "--sweep",
      split = ",",
      paramLabel = "L",
      description = "further lambdas whose losses are measured")
  private List<Double> sweep = List.of();

  @Option(
      names = "--barrier-limit",
      paramLabel = "NATS",
      description =
          "most that the loss may rise on the way to the result, per token (default: ${DEFAULT-VALUE})")
  private double barrierLimit = GateOptions.DEFAULT_LIMIT;

  @Option(
      names = "--task-tolerance",
      paramLabel = "E1",
      description = {
        "how much worse the result may be at the task than F, as a share of F's loss:",
        "task(M) <= (1 + E1) task(F) (default: ${DEFAULT-VALUE})"
      })
  private double taskTolerance = GateOptions.DEFAULT_LIMIT;

  @Option(
      names = "--general-tolerance",
      paramLabel = "E2",
      description = {
        "how much more may be forgotten than fine-tuning made the base forget:",
        "general(M) / general(T) <= (1 + E2) general(F) / general(B) (default: ${DEFAULT-VALUE})"
      })
  private double generalTolerance = GateOptions.DEFAULT_LIMIT;

  @Option(
      names = "--judge",
      split = ",",
      paramLabel = "COMMAND",
      description =
          "measures instead of the engine: called with model and set, prints nats per token")
  private List<String> judge = List.of();

  @Option(
      names = "--judge-timeout",
      paramLabel = "SECONDS",
      description =
          "of one call of the judge, after which it is killed (default: ${DEFAULT-VALUE})")
  private int judgeTimeout = (int) Duration.ofHours(1).toSeconds();

  @Option(
      names = "--dtype",
      defaultValue = "fp32",
      paramLabel = "D",
      description = "of the engine's scoring: auto, bf16, fp32 (default: ${DEFAULT-VALUE})")
  private String dtype = "fp32";

  @Option(
      names = "--report",
      paramLabel = "F.html",
      description = "the gates with their curves, as one page")
  private Optional<Path> report = Optional.empty();

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  TransferRunCommand() {}

  @Override
  public Integer call() throws IOException {
    PrintWriter out = spec.commandLine().getOut();
    ProgressBar bar = ProgressBar.on(spec.commandLine().getErr());
    if (!gated) {
      for (String option : OF_GATES) {
        if (spec.commandLine().getParseResult().hasMatchedOption(option)) {
          throw new UsageException(option + " belongs to --gates");
        }
      }
      try (TransferPlan plan = TransferPlan.of(request.request())) {
        TransferProgress.say(out, TransferProgress.run(plan, output.destination(), bar));
      }
      return Whence.DONE;
    }
    return gated(out, bar);
  }

  private int gated(PrintWriter out, ProgressBar bar) throws IOException {
    if (taskSet.isEmpty() || generalSet.isEmpty()) {
      throw new UsageException("--gates needs --task-set and --general-set");
    }
    InputFile.check("--task-set", taskSet.get());
    InputFile.check("--general-set", generalSet.get());
    GateOptions limits = limits(taskSet.get(), generalSet.get());
    Duration timeout = timeout();
    Optional<CommandJudge> command =
        judge.isEmpty() ? Optional.empty() : Optional.of(new CommandJudge(judge, timeout));
    GatedRun.check(dtype, report);
    GatesFile asked = new GatesFile(request.request(), limits, dtype);
    return new GatedRun(asked, command, report, out, bar).to(output.destination());
  }

  private GateOptions limits(Path task, Path general) {
    try {
      return new GateOptions(task, general, barrierLimit, taskTolerance, generalTolerance, sweep);
    } catch (IllegalArgumentException e) {
      throw new UsageException(String.valueOf(e.getMessage()));
    }
  }

  private Duration timeout() {
    if (judgeTimeout < 1 || judgeTimeout > LONGEST_JUDGE.toSeconds()) {
      throw new UsageException(
          "--judge-timeout is "
              + judgeTimeout
              + " s, but must be between 1 and "
              + LONGEST_JUDGE.toSeconds());
    }
    return Duration.ofSeconds(judgeTimeout);
  }
}
