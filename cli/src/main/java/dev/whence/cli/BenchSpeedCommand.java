package dev.whence.cli;

import dev.whence.benchmarks.fidelity.SpeedBench;
import dev.whence.engine.EngineOptions.Dtype;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Seconds of the methods, in turn. */
@Command(
    name = "speed",
    description =
        "Seconds of attribution methods on one prompt, in turn, against exact and naive"
            + " leave-one-out.",
    mixinStandardHelpOptions = true)
final class BenchSpeedCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private BenchOutput output = new BenchOutput();

  @Option(names = "--model", required = true, paramLabel = "M")
  private String model;

  @Option(
      names = "--input",
      paramLabel = "F.jsonl",
      description = "records with a response; default: a synthetic prompt")
  private Optional<Path> input = Optional.empty();

  @Option(names = "--line", defaultValue = "1", description = "of the input, from 1")
  private int line;

  @Option(names = "--sources", defaultValue = "40", description = "of a synthetic prompt")
  private int sources;

  @Option(
      names = "--tokens",
      defaultValue = "1565",
      description = "of a synthetic prompt, the response included")
  private int tokens;

  @Option(
      names = "--response-tokens",
      defaultValue = "0",
      description =
          "puts words of so many tokens in place of the response; 0: as it is, and two for a"
              + " synthetic prompt")
  private int responseTokens;

  @Option(names = "--dtype", defaultValue = "auto", paramLabel = "auto|bf16|fp32")
  private String dtype;

  @Option(
      names = "--proxy",
      paramLabel = "M2",
      description = "a smaller model, for the methods that have one")
  private Optional<String> proxy = Optional.empty();

  @Option(
      names = "--random-target",
      description =
          "scores with a Llama of 1.3 B random parameters, whose proxy is the model: time only")
  private boolean randomTarget;

  @Option(
      names = "--naive-sources",
      defaultValue = "5",
      description = "naive leave-one-out is extrapolated from so many; 0: left out")
  private int naiveSources;

  @Option(names = "--repeat", defaultValue = "3", description = "timed rounds")
  private int repeat;

  @Option(
      names = "--methods",
      split = ",(?! )", // names have commas before spaces
      defaultValue = "exact,splice,cascade,paragraph,proxy",
      paramLabel = "NAME[,NAME]",
      description = "methods whose name in the table begins so")
  private List<String> methods = List.of();

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  BenchSpeedCommand() {}

  @Override
  public Integer call() throws Exception {
    input.ifPresent(InputFile::check);
    output.measure(
        spec,
        () ->
            new SpeedBench.Options(
                Models.resolve(model),
                input,
                line,
                sources,
                tokens,
                responseTokens,
                Dtype.of(dtype),
                proxy.map(Models::resolve),
                randomTarget,
                naiveSources,
                repeat,
                methods),
        SpeedBench::run);
    return Whence.DONE;
  }
}
