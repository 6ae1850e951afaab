package dev.whence.cli;

import dev.whence.benchmarks.fidelity.FidelityBench;
import dev.whence.benchmarks.fidelity.FidelityReport;
import dev.whence.benchmarks.fidelity.ScalingBench;
import dev.whence.benchmarks.fidelity.ScalingReport;
import dev.whence.engine.EngineOptions.Dtype;
import java.io.IOException;
import java.nio.file.Files;
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

/** Cost and fidelity of every method. */
@Command(
    name = "fidelity",
    description =
        "How close each attribution method comes to exact leave-one-out, and what it costs.",
    mixinStandardHelpOptions = true)
final class BenchFidelityCommand implements Callable<Integer> {
  private static final int QUICK_PROMPTS = 8;
  private static final int QUICK_PARAGRAPHS = 5;

  /** A year. */
  private static final long MOST_MINUTES = 525_600;

  @Spec private CommandSpec spec;
  @Mixin private BenchOutput output = new BenchOutput();

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
      split = ",(?! )", // names have commas before spaces
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

  @Option(names = "--scaling-sources", split = ",", defaultValue = "8,16,32", paramLabel = "N[,N]")
  private List<Integer> scalingSources = List.of();

  @Option(
      names = "--scaling-tokens",
      split = ",",
      defaultValue = "224,448,896",
      paramLabel = "T[,T]",
      description = "at most the model's window")
  private List<Integer> scalingTokens = List.of();

  @Option(
      names = "--keep",
      paramLabel = "F.jsonl",
      description =
          "keeps what was measured, prompt by prompt: a run of the same build on the same kind of"
              + " machine that was cut off goes on from there")
  private Optional<Path> keep = Optional.empty();

  @Option(names = "--csv", paramLabel = "F.csv", description = "also writes the figures there")
  private Optional<Path> csv = Optional.empty();

  @Option(
      names = "--plot",
      paramLabel = "F.svg",
      description = "also draws cost against mAP@3 there; with --scaling, seconds")
  private Optional<Path> plot = Optional.empty();

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  BenchFidelityCommand() {}

  @Override
  public Integer call() throws Exception {
    if (scaling) {
      return scale();
    }
    input.ifPresent(InputFile::check);
    if (paragraphs > 0 && input.isEmpty()) {
      throw new UsageException(
          "--paragraphs is of questions in --input; those about the synthetic world stay whole");
    }
    OptionRange.check("--minutes", minutes, 0, MOST_MINUTES);
    FidelityReport report =
        output.measure(
            spec,
            () ->
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
                    methods,
                    keep),
            FidelityBench::run);
    return files(report.csv(), report.plot());
  }

  private int scale() throws Exception {
    ScalingReport report =
        output.measure(
            spec,
            () ->
                new ScalingBench.Options(
                    Models.resolve(model), Dtype.of(dtype), scalingSources, scalingTokens, 3),
            ScalingBench::run);
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
