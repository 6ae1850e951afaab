package dev.whence.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The figures of the README. */
@Command(
    name = "bench",
    description = "Measures what the README says.",
    mixinStandardHelpOptions = true,
    subcommands = {
      BenchExactCommand.class,
      BenchStreamCommand.class,
      BenchFidelityCommand.class,
      BenchSpeedCommand.class,
      BenchConfidenceCommand.class,
      BenchTrainCommand.class,
      BenchSamplesCommand.class,
      BenchTransferCommand.class,
      BenchInfluenceCommand.class,
      BenchDatamodelCommand.class
    })
final class BenchCommand implements Runnable {
  @Spec private CommandSpec spec;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  BenchCommand() {}

  @Override
  public void run() {
    throw new ParameterException(
        spec.commandLine(),
        "'exact', 'fidelity', 'speed', 'confidence', 'stream', 'train', 'samples',"
            + " 'transfer', 'influence' or 'datamodel' is missing");
  }
}
