package dev.whence.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.EngineOptions;
import dev.whence.runtime.kafka.Clients;
import dev.whence.schemas.Topics;
import dev.whence.transfer.TransferException;
import dev.whence.transfer.diff.DiffApplication;
import dev.whence.transfer.diff.DiffExtraction;
import dev.whence.transfer.diff.DiffInspection;
import dev.whence.transfer.gate.CommandJudge;
import dev.whence.transfer.gate.EngineJudge;
import dev.whence.transfer.gate.GateOptions;
import dev.whence.transfer.gate.GateReport;
import dev.whence.transfer.gate.GatedTransfer;
import dev.whence.transfer.gate.Gates;
import dev.whence.transfer.merge.Manifest;
import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.MergeRun;
import dev.whence.transfer.merge.Policies;
import dev.whence.transfer.merge.Published;
import dev.whence.transfer.merge.RequestFile;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.merge.TransferRequest;
import dev.whence.transfer.merge.Verification;
import dev.whence.transfer.report.SvgChart;
import dev.whence.transfer.report.TransferReport;
import dev.whence.transfer.stage.Rollback;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.IntStream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Carries fine-tuning to another base: the merge engine and its gates, without Kafka. */
@Command(
    name = "transfer",
    description = "Carries fine-tuning to another base: M = T + lambda (F - B).",
    mixinStandardHelpOptions = true,
    subcommands = {
      TransferCommand.Plan.class,
      TransferCommand.Run.class,
      TransferCommand.Resume.class,
      TransferCommand.Verify.class,
      TransferCommand.Inspect.class,
      TransferCommand.Extract.class,
      TransferCommand.Apply.class,
      TransferCommand.Compose.class,
      TransferCommand.Withdraw.class
    })
final class TransferCommand implements Runnable {
  @Spec private CommandSpec spec;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  TransferCommand() {}

  @Override
  public void run() {
    throw new ParameterException(
        spec.commandLine(),
        "'plan', 'run', 'resume', 'verify', 'inspect', 'extract', 'apply', 'compose'"
            + " or 'rollback' is missing");
  }

  /** What is to be transferred, and what to do where the models do not match. */
  static final class Request {
    @Option(names = "--base", required = true, paramLabel = "B", description = "base version")
    private String base = "";

    @Option(
        names = "--fine-tuned",
        required = true,
        paramLabel = "F",
        description = "what came of the base by fine-tuning")
    private String fineTuned = "";

    @Option(
        names = "--target",
        required = true,
        paramLabel = "T",
        description = "the base version that is to get the fine-tuning")
    private String target = "";

    @Option(
        names = "--lambda",
        split = ",",
        defaultValue = "1",
        paramLabel = "L",
        description = "factor of the difference; several, separated by commas, go in one pass")
    private List<Double> lambdas = List.of();

    @Option(
        names = "--policy",
        paramLabel = "NAME=VALUE",
        description = {
          "missing=target, shapes=target, tied-head=embeddings, vocabulary=align,",
          "added-tokens=drop|append, non-finite=propagate, template=fine-tuned|target;",
          "everything is refused by default"
        })
    private Map<String, String> policies = Map.of();

    @Option(
        names = "--rename",
        paramLabel = "TARGET=SOURCE",
        description = "a tensor that has another name in the target than in base and fine-tuned")
    private Map<String, String> renamed = Map.of();

    TransferRequest request() {
      Map<String, String> named = new TreeMap<>(policies);
      renamed.forEach((name, source) -> named.put("rename " + name, source));
      Policies decided;
      try {
        decided = Policies.of(named);
      } catch (TransferException e) {
        throw new UsageException(String.valueOf(e.getMessage()));
      }
      return new TransferRequest(
          TransferRequest.Input.of(Models.resolve(base)),
          TransferRequest.Input.of(Models.resolve(fineTuned)),
          TransferRequest.Input.of(Models.resolve(target)),
          lambdas,
          decided);
    }
  }

  /** Shows bytes per second and the time left. */
  private static MergeProgress progress(ProgressBar bar) {
    AtomicLong shown = new AtomicLong();
    return (moved, total) -> {
      long percent = total == 0 ? 100 : moved * 100 / total;
      if (shown.getAndSet(percent) != percent) {
        synchronized (bar) {
          bar.show(moved, total, moved >> 20, "MiB");
        }
      }
    };
  }

  private static void say(PrintWriter out, Published published) {
    for (Published.Model model : published.models()) {
      out.println(
          model.directory()
              + (published.before() ? " was there already" : "")
              + ": lambda "
              + model.manifest().lambda()
              + ", digest "
              + model.manifest().digest()
              + ", plan "
              + published.planId());
    }
    out.flush();
  }

  /** The dry run. */
  @Command(
      name = "plan",
      description = "Says what would happen to every tensor, and why not if it can not be done.",
      mixinStandardHelpOptions = true)
  static final class Plan implements Callable<Integer> {
    @Spec private CommandSpec spec;
    @Mixin private Request request = new Request();

    @SuppressWarnings("NullAway.Init") // picocli fills the fields
    Plan() {}

    @Override
    public Integer call() {
      PrintWriter out = spec.commandLine().getOut();
      try (TransferPlan plan = TransferPlan.of(request.request())) {
        for (TransferPlan.Line line : plan.lines()) {
          out.println(
              line.tensor() + "  " + line.dtype() + " " + line.shape() + "  " + line.policy());
        }
        out.println(
            "plan "
                + plan.id()
                + ": reads "
                + plan.inputBytes()
                + " bytes, writes "
                + plan.outputBytes());
        out.flush();
      }
      return Whence.DONE;
    }
  }

  /** The merge, gated or not. */
  @Command(
      name = "run",
      description = "Merges, with --gates measures, and publishes by one rename.",
      mixinStandardHelpOptions = true)
  static final class Run implements Callable<Integer> {
    @Spec private CommandSpec spec;
    @Mixin private Request request = new Request();

    @Option(
        names = "--output",
        required = true,
        paramLabel = "O",
        description = "directory of the result; with several lambdas, of one directory each")
    private Path output;

    @Option(
        names = "--gates",
        description = "publishes only what passes the gates; needs the two sets")
    private boolean gated;

    private static final List<String> OF_GATES =
        List.of(
            "--task-set",
            "--general-set",
            "--sweep",
            "--barrier-limit",
            "--judge",
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
        defaultValue = "0.1",
        paramLabel = "NATS",
        description = "per token (default: ${DEFAULT-VALUE})")
    private double barrierLimit;

    @Option(
        names = "--judge",
        split = ",",
        paramLabel = "COMMAND",
        description =
            "measures instead of the engine: called with model and set, prints nats per token")
    private List<String> judge = List.of();

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
    Run() {}

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
          say(out, MergeRun.run(plan, output, MergeOptions.defaults(), progress(bar)));
        } finally {
          bar.finish();
        }
        return Whence.DONE;
      }
      return gated(out, bar);
    }

    private int gated(PrintWriter out, ProgressBar bar) throws IOException {
      if (taskSet.isEmpty() || generalSet.isEmpty()) {
        throw new UsageException("--gates needs --task-set and --general-set");
      }
      InputFile.check(taskSet.get());
      InputFile.check(generalSet.get());
      EngineOptions engine;
      try {
        engine = EngineOptions.defaults().withDtype(EngineOptions.Dtype.of(dtype));
      } catch (IllegalArgumentException e) {
        throw new UsageException(String.valueOf(e.getMessage()));
      }
      NativeEnd.prepare();
      Gates gates =
          new Gates(
              judge.isEmpty()
                  ? new EngineJudge(engine)
                  : new CommandJudge(judge, Duration.ofHours(1)),
              new GateOptions(taskSet.get(), generalSet.get(), barrierLimit, .1, .1, sweep),
              MergeOptions.defaults(),
              bar::note);
      List<IOException> unwritten = new ArrayList<>();
      GatedTransfer.Outcome outcome =
          new GatedTransfer(MergeOptions.defaults(), progress(bar), gates)
              .run(
                  request.request(),
                  output,
                  (manifest, measured) -> {
                    try {
                      write(manifest, measured);
                    } catch (IOException e) {
                      unwritten.add(e);
                    }
                  });
      bar.finish();
      verdicts(out, outcome.report());
      out.println(
          outcome.published()
              ? output + " holds the transferred model, digest " + outcome.manifest().digest()
              : "rejected: nothing was published");
      out.flush();
      if (!unwritten.isEmpty()) {
        throw unwritten.get(0);
      }
      return outcome.published() ? Whence.DONE : Whence.FAILED;
    }

    private void write(Manifest manifest, GateReport measured) throws IOException {
      if (report.isPresent()) {
        Files.writeString(report.get(), TransferReport.html(manifest, measured));
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

  /** Goes on with a run that was cut off. */
  @Command(
      name = "resume",
      description = "Goes on with a run that was cut off; verifies what is there.",
      mixinStandardHelpOptions = true)
  static final class Resume implements Callable<Integer> {
    @Spec private CommandSpec spec;

    @Option(names = "--output", required = true, paramLabel = "O", description = "of that run")
    private Path output;

    @SuppressWarnings("NullAway.Init") // picocli fills the fields
    Resume() {}

    @Override
    public Integer call() {
      ProgressBar bar = ProgressBar.on(spec.commandLine().getErr());
      try (TransferPlan plan = TransferPlan.of(RequestFile.of(output))) {
        say(
            spec.commandLine().getOut(),
            MergeRun.run(plan, output, MergeOptions.defaults(), progress(bar)));
      } finally {
        bar.finish();
      }
      return Whence.DONE;
    }
  }

  /** Compares a result with its manifest. */
  @Command(
      name = "verify",
      description = "Reads a transferred model and compares it with its manifest.",
      mixinStandardHelpOptions = true)
  static final class Verify implements Callable<Integer> {
    @Spec private CommandSpec spec;

    @Option(names = "--output", required = true, paramLabel = "O")
    private Path output;

    @SuppressWarnings("NullAway.Init") // picocli fills the fields
    Verify() {}

    @Override
    public Integer call() {
      List<String> problems = Verification.of(output);
      if (!problems.isEmpty()) {
        throw new TransferException(problems);
      }
      spec.commandLine().getOut().println(output + " is what its manifest says");
      return Whence.DONE;
    }
  }

  /** Says what a transferred model was made from, or what is in a diff vector. */
  @Command(
      name = "inspect",
      description = "Says what a transferred model was made from, or what is in a diff vector.",
      mixinStandardHelpOptions = true)
  static final class Inspect implements Callable<Integer> {
    @Spec private CommandSpec spec;

    @Option(names = "--output", paramLabel = "O", description = "a transferred model")
    private Optional<Path> output = Optional.empty();

    @Option(names = "--diff", paramLabel = "D", description = "a stored diff vector")
    private Optional<Path> diff = Optional.empty();

    @Option(names = "--with", paramLabel = "D2", description = "another diff, for the cosine")
    private Optional<Path> with = Optional.empty();

    @Option(names = "--svg", paramLabel = "F.svg", description = "norms by layer as a picture")
    private Optional<Path> svg = Optional.empty();

    @Option(names = "--json", description = "JSON instead of a table")
    private boolean json;

    @SuppressWarnings("NullAway.Init") // picocli fills the fields
    Inspect() {}

    @Override
    public Integer call() throws IOException {
      if (output.isPresent() == diff.isPresent()) {
        throw new UsageException("give either --output or --diff");
      }
      PrintWriter out = spec.commandLine().getOut();
      if (output.isPresent()) {
        Path file = output.get().resolve(Manifest.FILE);
        if (Manifest.read(output.get()).isEmpty()) {
          throw new TransferException(output.get() + " has no " + Manifest.FILE);
        }
        out.println(Files.readString(file).strip());
        out.flush();
        return Whence.DONE;
      }
      DiffInspection inspection = DiffInspection.of(diff.orElseThrow(), with);
      List<DiffInspection.Line> lines = new ArrayList<>(inspection.tensors());
      lines.addAll(inspection.layers());
      lines.add(inspection.total());
      for (DiffInspection.Line line : lines) {
        out.println(json ? object(line) : text(line));
      }
      out.flush();
      if (svg.isPresent()) {
        Files.writeString(svg.get(), chart(inspection));
      }
      return Whence.DONE;
    }

    private static String text(DiffInspection.Line line) {
      return String.format(
          Locale.ROOT,
          "%s  norm %.6g, rms %.6g, largest %.6g, %d elements, %d exceptions%s",
          line.name(),
          line.norm(),
          line.rms(),
          line.largest(),
          line.elements(),
          line.exceptions(),
          line.cosine()
              .map(cosine -> String.format(Locale.ROOT, ", cosine %.6f", cosine))
              .orElse(""));
    }

    private static String object(DiffInspection.Line line) {
      ObjectNode node = new ObjectMapper().createObjectNode();
      node.put("name", line.name())
          .put("norm", line.norm())
          .put("rms", line.rms())
          .put("largest", line.largest())
          .put("elements", line.elements())
          .put("exceptions", line.exceptions());
      line.cosine().ifPresent(cosine -> node.put("cosine", cosine));
      return node.toString();
    }

    private static String chart(DiffInspection inspection) {
      List<DiffInspection.Line> layers =
          inspection.layers().stream().filter(line -> line.name().startsWith("layer")).toList();
      return SvgChart.of(
          "Root mean square of the difference by layer",
          "layer",
          "rms",
          List.of(
              new SvgChart.Series(
                  "difference",
                  IntStream.range(0, layers.size()).mapToObj(i -> (double) i).toList(),
                  layers.stream().map(DiffInspection.Line::rms).toList())));
    }
  }

  /** Stores a diff vector. */
  @Command(
      name = "extract",
      description = "Stores F - B by itself.",
      mixinStandardHelpOptions = true)
  static final class Extract implements Callable<Integer> {
    @Spec private CommandSpec spec;

    @Option(names = "--base", required = true, paramLabel = "B")
    private String base = "";

    @Option(names = "--fine-tuned", required = true, paramLabel = "F")
    private String fineTuned = "";

    @Option(names = "--output", required = true, paramLabel = "D", description = "a directory")
    private Path output;

    @SuppressWarnings("NullAway.Init") // picocli fills the fields
    Extract() {}

    @Override
    public Integer call() {
      DiffExtraction.Extracted extracted =
          DiffExtraction.extract(Models.resolve(base), Models.resolve(fineTuned), output);
      spec.commandLine()
          .getOut()
          .println(
              output
                  + ": "
                  + extracted.elements()
                  + " elements, "
                  + extracted.exceptions()
                  + " stored as exceptions, "
                  + extracted.inexact()
                  + " that base + diff does not give back");
      return Whence.DONE;
    }
  }

  /** Which diffs, with which weights. */
  static final class Diffs {
    @Option(
        names = "--diff",
        required = true,
        paramLabel = "D[=W]",
        description = "a stored diff vector and its weight (default 1; -1 takes it out)")
    private List<String> diffs = List.of();

    List<DiffApplication.Weighted> weighted() {
      List<DiffApplication.Weighted> weighted = new ArrayList<>();
      for (String diff : diffs) {
        int at = diff.lastIndexOf('=');
        try {
          weighted.add(
              at < 0
                  ? new DiffApplication.Weighted(Path.of(diff), 1)
                  : new DiffApplication.Weighted(
                      Path.of(diff.substring(0, at)), Double.parseDouble(diff.substring(at + 1))));
        } catch (NumberFormatException e) {
          throw new UsageException("'" + diff.substring(at + 1) + "' is no weight");
        }
      }
      return weighted;
    }
  }

  /** Adds diff vectors to a model. */
  @Command(
      name = "apply",
      description = "Adds stored diffs to a model: M = T + sum of weight times diff.",
      mixinStandardHelpOptions = true)
  static final class Apply implements Callable<Integer> {
    @Mixin private Diffs diffs = new Diffs();

    @Option(names = "--target", required = true, paramLabel = "T")
    private String target = "";

    @Option(names = "--output", required = true, paramLabel = "O")
    private Path output;

    @SuppressWarnings("NullAway.Init") // picocli fills the fields
    Apply() {}

    @Override
    public Integer call() {
      DiffApplication.apply(Models.resolve(target), diffs.weighted(), output);
      return Whence.DONE;
    }
  }

  /** Adds diff vectors up to one. */
  @Command(
      name = "compose",
      description = "Adds stored diffs with their weights up to one.",
      mixinStandardHelpOptions = true)
  static final class Compose implements Callable<Integer> {
    @Mixin private Diffs diffs = new Diffs();

    @Option(names = "--output", required = true, paramLabel = "D")
    private Path output;

    @SuppressWarnings("NullAway.Init") // picocli fills the fields
    Compose() {}

    @Override
    public Integer call() {
      DiffApplication.compose(diffs.weighted(), output);
      return Whence.DONE;
    }
  }

  /** Takes a published model back. */
  @Command(
      name = "rollback",
      description = "Withdraws a model's release: the one before it is live again.",
      mixinStandardHelpOptions = true)
  static final class Withdraw implements Callable<Integer> {
    @Mixin private ConnectionOptions connection = new ConnectionOptions();

    @Option(
        names = "--model-id",
        required = true,
        paramLabel = "ID",
        description = "of the release")
    private String modelId = "";

    @SuppressWarnings("NullAway.Init") // picocli fills the fields
    Withdraw() {}

    @Override
    public Integer call() {
      Rollback.withdraw(
          new Clients(connection.brokersOnly()), new Topics(connection.topicPrefix()), modelId);
      return Whence.DONE;
    }
  }
}
