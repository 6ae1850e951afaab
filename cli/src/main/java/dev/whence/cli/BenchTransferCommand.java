package dev.whence.cli;

import dev.whence.benchmarks.TransferBench;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** A merge against the floor of the disk. */
@Command(
    name = "transfer",
    description = "A merge of synthetic shards against what reading and writing alone would take.",
    mixinStandardHelpOptions = true)
final class BenchTransferCommand implements Callable<Integer> {
  private static final double MOST_GIGABYTES = 1e6;

  @Spec private CommandSpec spec;
  @Mixin private BenchOutput output = new BenchOutput();

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
  BenchTransferCommand() {}

  @Override
  public Integer call() throws Exception {
    if (!(gigabytes > 0 && gigabytes <= MOST_GIGABYTES)) {
      throw new UsageException(
          "--gigabytes is " + gigabytes + ", but must be above 0, and at most " + MOST_GIGABYTES);
    }
    for (double lambda : lambdas) {
      if (!Double.isFinite(lambda)) {
        throw new UsageException("--lambda is " + lambda + ", but must be a finite number");
      }
    }
    output.measure(
        spec,
        () -> new TransferBench.Options(directory, (long) (gigabytes * 1e9), shards, lambdas),
        TransferBench::run);
    return Whence.DONE;
  }
}
