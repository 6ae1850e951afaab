package dev.whence.cli;

import dev.whence.benchmarks.TrainBench;
import dev.whence.benchmarks.TrainReport;
import dev.whence.engine.weights.ModelFiles;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** What a training step costs. */
@Command(
    name = "train",
    description = "A training step: forward, backward and optimiser against the GEMM peak.",
    mixinStandardHelpOptions = true)
final class BenchTrainCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private BenchOutput output = new BenchOutput();

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
  BenchTrainCommand() {}

  @Override
  public Integer call() throws Exception {
    output.measure(spec, () -> new TrainBench.Options(lengths, batchTokens, repeat), this::train);
    return Whence.DONE;
  }

  private TrainReport train(TrainBench.Options options, Consumer<String> progress) {
    try (ModelFiles files = ModelFiles.open(Models.resolve(model))) {
      return TrainBench.run(files.config(), files.name(), options, progress);
    }
  }
}
