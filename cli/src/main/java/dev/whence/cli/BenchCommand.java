package dev.whence.cli;

import dev.whence.attribution.method.MethodOptions;
import dev.whence.benchmarks.ExactBench;
import dev.whence.benchmarks.ExactReport;
import dev.whence.benchmarks.Report;
import dev.whence.benchmarks.SamplesBench;
import dev.whence.benchmarks.SamplesReport;
import dev.whence.benchmarks.StreamBench;
import dev.whence.benchmarks.StreamReport;
import dev.whence.benchmarks.TrainBench;
import dev.whence.benchmarks.TrainReport;
import dev.whence.benchmarks.TransferBench;
import dev.whence.benchmarks.TransferReport;
import dev.whence.benchmarks.fidelity.ConfidenceBench;
import dev.whence.benchmarks.fidelity.ConfidenceReport;
import dev.whence.benchmarks.fidelity.FidelityBench;
import dev.whence.benchmarks.fidelity.FidelityReport;
import dev.whence.benchmarks.fidelity.ScalingBench;
import dev.whence.benchmarks.fidelity.ScalingReport;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.samples.BundledModels;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The figures of the README. */
@Command(
    name = "bench",
    description = "Measures what the README says.",
    mixinStandardHelpOptions = true,
    subcommands = {
      BenchCommand.Exact.class,
      BenchCommand.Stream.class,
      BenchCommand.Fidelity.class,
      BenchCommand.Confidence.class,
      BenchCommand.Train.class,
      BenchCommand.Samples.class,
      BenchCommand.Transfer.class
    })
final class BenchCommand implements Runnable {
  @Spec private CommandSpec spec;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  BenchCommand() {}

  @Override
  public void run() {
    throw new ParameterException(
        spec.commandLine(),
        "'exact', 'fidelity', 'confidence', 'stream', 'train', 'samples' or 'transfer' is missing");
  }

  /** Where the figures go. */
  static final class Output {
    @Option(names = "--json", description = "JSON instead of tables")
    private boolean json;

    @Option(
        names = "--report",
        paramLabel = "F.md",
        description = "also writes machine, versions, date, command and figures there")
    private Optional<Path> report = Optional.empty();

    Consumer<String> progress(CommandSpec spec) {
      PrintWriter err = spec.commandLine().getErr();
      return sentence -> {
        err.println(sentence);
        err.flush();
      };
    }

    void write(CommandSpec spec, Report figures) throws IOException {
      PrintWriter out = spec.commandLine().getOut();
      out.println(json ? figures.json() : figures.markdown());
      out.flush();
      if (report.isPresent()) {
        figures.evidence(command(spec)).write(report.get());
      }
    }

    /** The command as it was given, paths cut to their last name. */
    private static String command(CommandSpec spec) {
      List<String> words = spec.root().commandLine().getParseResult().originalArgs();
      return words.stream()
          .map(word -> word.contains("/") ? String.valueOf(Path.of(word).getFileName()) : word)
          .collect(Collectors.joining(" ", "./whence ", ""));
    }
  }

  /** Exact leave-one-out against naive, and both against the peak of the machine. */
  @Command(
      name = "exact",
      description =
          "Exact leave-one-out: speed against the GEMM peak, against naive, and exactness.",
      mixinStandardHelpOptions = true)
  static final class Exact implements Callable<Integer> {
    @Spec private CommandSpec spec;
    @Mixin private Output output = new Output();

    @Option(names = "--model", required = true, paramLabel = "M")
    private String model;

    @Option(names = "--input", required = true, paramLabel = "F.jsonl")
    private Path input;

    @Option(names = "--line", defaultValue = "0", description = "only this line, from 1; 0: all")
    private int line;

    @Option(names = "--dtype", defaultValue = "auto", paramLabel = "auto|bf16|fp32")
    private String dtype;

    @Option(names = "--repeat", defaultValue = "3", description = "timed rounds")
    private int repeat;

    @Option(names = "--no-naive", description = "leaves out naive leave-one-out, which is slow")
    private boolean noNaive;

    @Option(
        names = "--dump-ids",
        paramLabel = "F",
        description = "writes the token sequences, for a reference to score the same tokens")
    private Optional<Path> dumpIds = Optional.empty();

    @SuppressWarnings("NullAway.Init") // picocli fills the fields
    Exact() {}

    @Override
    public Integer call() throws Exception {
      InputFile.check(input);
      ExactBench.Options options;
      try {
        options =
            new ExactBench.Options(
                Models.resolve(model), input, line, Dtype.of(dtype), repeat, !noNaive, dumpIds);
      } catch (IllegalArgumentException e) {
        throw new UsageException(String.valueOf(e.getMessage()));
      }
      NativeEnd.prepare();
      ExactReport report = ExactBench.run(options, output.progress(spec));
      output.write(spec, report);
      return Whence.DONE;
    }
  }

  /** Cost and fidelity of every method. */
  @Command(
      name = "fidelity",
      description =
          "How close each attribution method comes to exact leave-one-out, and what it costs.",
      mixinStandardHelpOptions = true)
  static final class Fidelity implements Callable<Integer> {
    private static final int QUICK_PROMPTS = 8;
    private static final int QUICK_PARAGRAPHS = 5;

    @Spec private CommandSpec spec;
    @Mixin private Output output = new Output();

    @Option(names = "--model", required = true, paramLabel = "M")
    private String model;

    @Option(
        names = "--input",
        paramLabel = "F.jsonl",
        description =
            "records, or questions of HotpotQA or SQuAD with their paragraphs; default: questions"
                + " about the synthetic world, for the sample models")
    private Optional<Path> input = Optional.empty();

    @Option(names = "--paragraphs", defaultValue = "0", description = "most of a question; 0: all")
    private int paragraphs;

    @Option(names = "--prompts", defaultValue = "0", description = "evenly spaced; 0: all")
    private int prompts;

    @Option(
        names = "--minutes",
        defaultValue = "0",
        description = "no further prompt is begun after so many; 0: no bound")
    private long minutes;

    @Option(
        names = "--max-new-tokens",
        defaultValue = "64",
        description = "of an answer that the model gives, where the input has none")
    private int maxNewTokens;

    @Option(names = "--dtype", defaultValue = "auto", paramLabel = "auto|bf16|fp32")
    private String dtype;

    @Option(
        names = "--methods",
        split = ",",
        paramLabel = "NAME[,NAME]",
        description = "only methods whose name in the table begins so")
    private List<String> methods = List.of();

    @Option(
        names = "--proxy",
        paramLabel = "M2",
        description = "a smaller model, for the methods that have one")
    private Optional<String> proxy = Optional.empty();

    @Option(
        names = "--full",
        description =
            "also measures LDS, the drop of the top k, deletion and a sentence that stands there"
                + " twice: several times as long")
    private boolean full;

    @Option(names = "--quick", description = "8 prompts of 5 paragraphs: a few minutes")
    private boolean quick;

    @Option(
        names = "--scaling",
        description =
            "instead: how cost grows with the number of sources n and the length T, on synthetic"
                + " prompts, beside each method's formula")
    private boolean scaling;

    @Option(
        names = "--scaling-sources",
        split = ",",
        defaultValue = "8,16,32",
        paramLabel = "N[,N]")
    private List<Integer> scalingSources = List.of();

    @Option(
        names = "--scaling-tokens",
        split = ",",
        defaultValue = "224,448,896",
        paramLabel = "T[,T]",
        description = "at most the model's window")
    private List<Integer> scalingTokens = List.of();

    @Option(names = "--csv", paramLabel = "F.csv", description = "also writes the figures there")
    private Optional<Path> csv = Optional.empty();

    @Option(
        names = "--plot",
        paramLabel = "F.svg",
        description = "also draws cost against mAP@3 there; with --scaling, seconds")
    private Optional<Path> plot = Optional.empty();

    @SuppressWarnings("NullAway.Init") // picocli fills the fields
    Fidelity() {}

    @Override
    public Integer call() throws Exception {
      if (scaling) {
        return scale();
      }
      input.ifPresent(InputFile::check);
      FidelityBench.Options options;
      try {
        options =
            new FidelityBench.Options(
                Models.resolve(model),
                input,
                quick && paragraphs == 0 ? QUICK_PARAGRAPHS : paragraphs,
                quick && prompts == 0 ? QUICK_PROMPTS : prompts,
                minutes == 0 ? Optional.empty() : Optional.of(Duration.ofMinutes(minutes)),
                maxNewTokens,
                Dtype.of(dtype),
                proxy.map(Models::resolve),
                full,
                methods);
      } catch (IllegalArgumentException e) {
        throw new UsageException(String.valueOf(e.getMessage()));
      }
      NativeEnd.prepare();
      FidelityReport report = FidelityBench.run(options, output.progress(spec));
      output.write(spec, report);
      return files(report.csv(), report.plot());
    }

    private int scale() throws IOException {
      ScalingBench.Options options;
      try {
        options =
            new ScalingBench.Options(
                Models.resolve(model), Dtype.of(dtype), scalingSources, scalingTokens, 3);
      } catch (IllegalArgumentException e) {
        throw new UsageException(String.valueOf(e.getMessage()));
      }
      NativeEnd.prepare();
      ScalingReport report = ScalingBench.run(options, output.progress(spec));
      output.write(spec, report);
      return files(report.csv(), report.plot());
    }

    private int files(String figures, String picture) throws IOException {
      if (csv.isPresent()) {
        Files.writeString(csv.get(), figures);
      }
      if (plot.isPresent()) {
        Files.writeString(plot.get(), picture);
      }
      return Whence.DONE;
    }
  }

  /** What the stream costs on top of the model. */
  @Command(
      name = "stream",
      description = "Latency that the stream adds to the model's time, with a broker of its own.",
      mixinStandardHelpOptions = true)
  static final class Stream implements Callable<Integer> {
    @Spec private CommandSpec spec;
    @Mixin private Output output = new Output();

    @Option(
        names = "--model",
        paramLabel = "M",
        description = "default: a tiny one of random weights, so that the stream is what counts")
    private Optional<String> model = Optional.empty();

    @Option(names = "--input", paramLabel = "F.jsonl")
    private Optional<Path> input = Optional.empty();

    @Option(names = "--warmup", defaultValue = "50")
    private int warmup;

    @Option(names = "--responses", defaultValue = "500", description = "measured one by one")
    private int responses;

    @Option(names = "--burst", defaultValue = "500", description = "sent at once; 0: none")
    private int burst;

    @Option(names = "--rate", defaultValue = "0", description = "most per second; 0: no bound")
    private double rate;

    @Option(names = "--group-protocol", defaultValue = "consumer", paramLabel = "consumer|classic")
    private String groupProtocol;

    @SuppressWarnings("NullAway.Init") // picocli fills the fields
    Stream() {}

    @Override
    public Integer call() throws Exception {
      input.ifPresent(InputFile::check);
      StreamBench.Options options;
      try {
        options =
            new StreamBench.Options(
                model.map(Models::resolve), input, warmup, responses, burst, rate, groupProtocol);
      } catch (IllegalArgumentException e) {
        throw new UsageException(String.valueOf(e.getMessage()));
      }
      NativeEnd.prepare();
      StreamReport report = StreamBench.run(options, output.progress(spec));
      output.write(spec, report);
      return Whence.DONE;
    }
  }

  /** What a training step costs. */
  @Command(
      name = "train",
      description = "A training step: forward, backward and optimiser against the GEMM peak.",
      mixinStandardHelpOptions = true)
  static final class Train implements Callable<Integer> {
    @Spec private CommandSpec spec;
    @Mixin private Output output = new Output();

    @Option(
        names = "--model",
        required = true,
        paramLabel = "M",
        description = "whose shape; its weights do not count")
    private String model = "";

    @Option(
        names = "--length",
        split = ",",
        defaultValue = "128,256,512",
        paramLabel = "L[,L]",
        description = "tokens of a row")
    private List<Integer> lengths = List.of();

    @Option(names = "--batch-tokens", defaultValue = "4096", description = "of a step")
    private int batchTokens;

    @Option(names = "--repeat", defaultValue = "7", description = "timed rounds")
    private int repeat;

    @SuppressWarnings("NullAway.Init") // picocli fills the fields
    Train() {}

    @Override
    public Integer call() throws Exception {
      TrainBench.Options options;
      try {
        options = new TrainBench.Options(lengths, batchTokens, repeat);
      } catch (IllegalArgumentException e) {
        throw new UsageException(String.valueOf(e.getMessage()));
      }
      NativeEnd.prepare();
      ModelConfig config;
      String name;
      try (ModelFiles files = ModelFiles.open(Models.resolve(model))) {
        config = files.config();
        name = files.name();
      }
      TrainReport report = TrainBench.run(config, name, options, output.progress(spec));
      output.write(spec, report);
      return Whence.DONE;
    }
  }

  /** Whether the fast path keeps its word. */
  @Command(
      name = "confidence",
      description = {
        "Scores responses with the fast path and with the target, learns the confidence from one"
            + " half of them and tries it on the other: what agreement is kept, and how many are"
            + " escalated."
      },
      mixinStandardHelpOptions = true)
  static final class Confidence implements Callable<Integer> {
    @Spec private CommandSpec spec;
    @Mixin private Output output = new Output();

    @Option(
        names = "--model",
        defaultValue = BundledModels.CHAT,
        paramLabel = "M",
        description = "the target, which also answers (default: ${DEFAULT-VALUE})")
    private String model = "";

    @Option(
        names = "--proxy",
        paramLabel = "P",
        description = "model of the fast path (default: the target)")
    private Optional<String> proxy = Optional.empty();

    @Option(
        names = "--fast-method",
        defaultValue = "exact-loo",
        description = "of the fast path (default: ${DEFAULT-VALUE})")
    private String fastMethod = "";

    @Option(
        names = "--heal",
        defaultValue = "0",
        description = "of the fast path, if it splices (default: ${DEFAULT-VALUE})")
    private int heal;

    @Option(
        names = "--input",
        paramLabel = "F.jsonl",
        description =
            "records, or questions of HotpotQA or SQuAD; default: questions about the synthetic"
                + " world, of all kinds")
    private Optional<Path> input = Optional.empty();

    @Option(names = "--paragraphs", defaultValue = "0", description = "most of a question; 0: all")
    private int paragraphs;

    @Option(
        names = "--responses",
        defaultValue = "2000",
        paramLabel = "N",
        description = "half of them are held back (default: ${DEFAULT-VALUE})")
    private int responses;

    @Option(names = "--max-new-tokens", defaultValue = "64")
    private int maxNewTokens;

    @Option(names = "--dtype", defaultValue = "fp32", paramLabel = "auto|bf16|fp32")
    private String dtype = "";

    @SuppressWarnings("NullAway.Init") // picocli fills the fields
    Confidence() {}

    @Override
    public Integer call() throws Exception {
      input.ifPresent(InputFile::check);
      ConfidenceBench.Options options;
      try {
        options =
            new ConfidenceBench.Options(
                Models.resolve(model),
                Models.resolve(proxy.orElse(model)),
                MethodOptions.of(fastMethod).withHeal(heal),
                MethodOptions.DEFAULT,
                input,
                paragraphs,
                responses,
                maxNewTokens,
                Dtype.of(dtype));
      } catch (IllegalArgumentException e) {
        throw new UsageException(String.valueOf(e.getMessage()));
      }
      NativeEnd.prepare();
      ConfidenceReport report = ConfidenceBench.run(options, output.progress(spec));
      output.write(spec, report);
      return Whence.DONE;
    }
  }

  /** What the sample models can do. */
  @Command(
      name = "samples",
      description =
          "What a sample model can do, and how well attribution finds what is true of its answers.",
      mixinStandardHelpOptions = true)
  static final class Samples implements Callable<Integer> {
    @Spec private CommandSpec spec;
    @Mixin private Output output = new Output();

    @Option(
        names = "--model",
        defaultValue = BundledModels.CHAT,
        paramLabel = "M",
        description = "that answers (default: ${DEFAULT-VALUE})")
    private String model = "";

    @Option(
        names = "--proxy",
        paramLabel = "P",
        description = "whose attributions are compared with the model's")
    private Optional<String> proxy = Optional.empty();

    @Option(
        names = "--base",
        paramLabel = "B",
        description = "what the model was fine-tuned from; it is asked what it remembers")
    private Optional<String> base = Optional.empty();

    @Option(
        names = "--questions",
        defaultValue = "200",
        paramLabel = "N",
        description = "of each set (default: ${DEFAULT-VALUE})")
    private int questions;

    @SuppressWarnings("NullAway.Init") // picocli fills the fields
    Samples() {}

    @Override
    public Integer call() throws Exception {
      SamplesBench.Options options;
      try {
        options =
            new SamplesBench.Options(
                Models.resolve(model),
                proxy.map(Models::resolve),
                base.map(Models::resolve),
                questions);
      } catch (IllegalArgumentException e) {
        throw new UsageException(String.valueOf(e.getMessage()));
      }
      NativeEnd.prepare();
      SamplesReport report = SamplesBench.run(options, output.progress(spec));
      output.write(spec, report);
      return Whence.DONE;
    }
  }

  /** A merge against the floor of the disk. */
  @Command(
      name = "transfer",
      description =
          "A merge of synthetic shards against what reading and writing alone would take.",
      mixinStandardHelpOptions = true)
  static final class Transfer implements Callable<Integer> {
    @Spec private CommandSpec spec;
    @Mixin private Output output = new Output();

    @Option(
        names = "--directory",
        defaultValue = "whence-data/bench-transfer",
        paramLabel = "D",
        description = "on the disk that counts; removed in the end (default: ${DEFAULT-VALUE})")
    private Path directory;

    @Option(
        names = "--gigabytes",
        defaultValue = "4",
        paramLabel = "N",
        description = "of the three models together (default: ${DEFAULT-VALUE})")
    private double gigabytes;

    @Option(names = "--shards", defaultValue = "4", paramLabel = "N", description = "of each model")
    private int shards;

    @Option(
        names = "--lambda",
        split = ",",
        defaultValue = "1",
        paramLabel = "L",
        description = "several, separated by commas, go in one pass")
    private List<Double> lambdas = List.of();

    @SuppressWarnings("NullAway.Init") // picocli fills the fields
    Transfer() {}

    @Override
    public Integer call() throws Exception {
      TransferBench.Options options;
      try {
        options = new TransferBench.Options(directory, (long) (gigabytes * 1e9), shards, lambdas);
      } catch (IllegalArgumentException e) {
        throw new UsageException(String.valueOf(e.getMessage()));
      }
      TransferReport report = TransferBench.run(options, output.progress(spec));
      output.write(spec, report);
      return Whence.DONE;
    }
  }
}
