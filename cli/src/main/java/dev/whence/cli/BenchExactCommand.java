package dev.whence.cli;

import dev.whence.benchmarks.ExactBench;
import dev.whence.engine.EngineOptions.Dtype;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Exact leave-one-out against naive, and both against the peak of the machine. */
@Command(
    name = "exact",
    description = "Exact leave-one-out: speed against the GEMM peak, against naive, and exactness.",
    mixinStandardHelpOptions = true)
final class BenchExactCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private BenchOutput output = new BenchOutput();

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
  BenchExactCommand() {}

  @Override
  public Integer call() throws Exception {
    InputFile.check(input);
    output.measure(
        spec,
        () ->
            new ExactBench.Options(
                Models.resolve(model), input, line, Dtype.of(dtype), repeat, !noNaive, dumpIds),
        ExactBench::run);
    return Whence.DONE;
  }
}
