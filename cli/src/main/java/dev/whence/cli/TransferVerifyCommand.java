package dev.whence.cli;

import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.Verification;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Compares a result with its manifest. */
@Command(
    name = "verify",
    description = "Reads a transferred model and compares it with its manifest.",
    mixinStandardHelpOptions = true)
final class TransferVerifyCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(names = "--output", required = true, paramLabel = "O")
  private Path output;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  TransferVerifyCommand() {}

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
