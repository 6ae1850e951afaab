package dev.whence.cli;

import dev.whence.engine.EngineOptions;
import dev.whence.transfer.gate.CommandJudge;
import dev.whence.transfer.gate.EngineJudge;
import dev.whence.transfer.gate.GateOptions;
import dev.whence.transfer.gate.GateReport;
import dev.whence.transfer.gate.GatedTransfer;
import dev.whence.transfer.gate.Gates;
import dev.whence.transfer.merge.Manifest;
import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.place.Destination;
import dev.whence.transfer.report.TransferReport;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
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
      paramLabel = "F.jsonl",
      description = "what fine-tuning was for: conversations, or objects with a text")
  private Optional<Path> taskSet = Optional.empty();

  @Option(
      names = "--general-set",
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
    EngineOptions engine = engine();
    Duration timeout = timeout();
    report.ifPresent(TransferRunCommand::checkWritable);
    NativeEnd.prepare();
    Gates gates =
        new Gates(
            judge.isEmpty() ? new EngineJudge(engine) : new CommandJudge(judge, timeout),
            limits,
            MergeOptions.defaults(),
            bar::note);
    Destination destination = output.destination();
    List<IOException> unwritten = new ArrayList<>();
    GatedTransfer.Outcome outcome =
        new GatedTransfer(MergeOptions.defaults(), TransferProgress.on(bar), gates)
            .run(
                request.request(),
                destination,
                (manifest, measured) -> {
                  try {
                    write(manifest, measured, limits);
                  } catch (IOException e) {
                    unwritten.add(e);
                  }
                });
    bar.finish();
    verdicts(out, outcome.report());
    out.println(
        outcome.published()
            ? destination.place()
                + " holds the transferred model, digest "
                + outcome.manifest().digest()
            : "rejected: nothing was published");
    out.flush();
    if (!unwritten.isEmpty()) {
      throw unwritten.get(0);
    }
    return outcome.published() ? Whence.DONE : Whence.FAILED;
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

  /** Before anything is merged: a model that is published has to have its page. */
  private static void checkWritable(Path file) {
    Path parent = Objects.requireNonNull(file.toAbsolutePath().normalize().getParent());
    boolean writable =
        Files.exists(file)
            ? Files.isRegularFile(file) && Files.isWritable(file)
            : Files.isDirectory(parent) && Files.isWritable(parent);
    if (!writable) {
      throw new UsageException(
          "--report '" + file + "' can not be written: give a file in a directory that exists");
    }
  }

  private EngineOptions engine() {
    try {
      return EngineOptions.defaults().withDtype(EngineOptions.Dtype.of(dtype));
    } catch (IllegalArgumentException e) {
      throw new UsageException(String.valueOf(e.getMessage()));
    }
  }

  private void write(Manifest manifest, GateReport measured, GateOptions limits)
      throws IOException {
    if (report.isPresent()) {
      Files.writeString(report.get(), TransferReport.html(manifest, measured, limits));
    }
  }

  private static void verdicts(PrintWriter out, GateReport measured) {
    for (GateReport.Gate gate : measured.gates()) {
      out.println((gate.passed() ? "passed  " : "failed  ") + gate.name() + ": " + gate.detail());
    }
    for (GateReport.ModelLoss loss : measured.losses()) {
      out.printf(
          Locale.ROOT,
          "loss    %-12s task %.4f, general %.4f nats per token%n",
          loss.model(),
          loss.task(),
          loss.general());
    }
    for (GateReport.Point point : measured.sweep()) {
      out.printf(
          Locale.ROOT,
          "lambda  %-12s task %.4f, general %.4f nats per token%n",
          point.at(),
          point.task(),
          point.general());
    }
  }
}
