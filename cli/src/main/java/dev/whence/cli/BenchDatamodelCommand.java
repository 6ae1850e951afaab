package dev.whence.cli;

import dev.whence.benchmarks.influence.DatamodelBench;
import dev.whence.influence.ekfac.Damping;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Whether influence says what retraining would do. */
@Command(
    name = "datamodel",
    description = {
      "Whether influence says what training without some documents would do.",
      "Linear datamodeling score and removal, on two stages that are trained many times."
    },
    mixinStandardHelpOptions = true)
final class BenchDatamodelCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private BenchOutput output = new BenchOutput();

  @Option(
      names = "--directory",
      defaultValue = "whence-data/bench-datamodel",
      paramLabel = "D",
      description = "for models and factors (default: ${DEFAULT-VALUE})")
  private Path directory;

  @Option(
      names = "--queries",
      defaultValue = "20",
      paramLabel = "N",
      description = "responses (default: ${DEFAULT-VALUE})")
  private int queries;

  @Option(
      names = "--subsets",
      defaultValue = "40",
      paramLabel = "M",
      description = "trainings on halves of the documents (default: ${DEFAULT-VALUE})")
  private int subsets;

  @Option(
      names = "--removals",
      defaultValue = "10",
      paramLabel = "N",
      description = "responses whose first documents are left out (default: ${DEFAULT-VALUE})")
  private int removals;

  @Option(
      names = "--removed",
      defaultValue = "10",
      paramLabel = "K",
      description = "documents left out (default: ${DEFAULT-VALUE})")
  private int removed;

  @Option(
      names = "--at-once",
      defaultValue = "2",
      paramLabel = "N",
      description = "trainings side by side (default: ${DEFAULT-VALUE})")
  private int atOnce;

  @Option(
      names = "--damping",
      split = ",",
      defaultValue = "0.1x",
      paramLabel = "L",
      description = "lambda and alpha; several, separated by commas, are tried")
  private List<String> dampings = List.of();

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  BenchDatamodelCommand() {}

  @Override
  public Integer call() throws Exception {
    output.measure(
        spec,
        () ->
            new DatamodelBench.Options(
                directory,
                queries,
                subsets,
                removals,
                removed,
                atOnce,
                dampings.stream().map(Damping::parse).toList()),
        DatamodelBench::run);
    return Whence.DONE;
  }
}
