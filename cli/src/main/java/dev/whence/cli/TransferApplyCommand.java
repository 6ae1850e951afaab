package dev.whence.cli;

import dev.whence.transfer.diff.DiffApplication;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Adds diff vectors to a model. */
@Command(
    name = "apply",
    description = "Adds stored diffs to a model: M = T + sum of weight times diff.",
    mixinStandardHelpOptions = true)
final class TransferApplyCommand implements Callable<Integer> {
  @Mixin private TransferDiffOptions diffs = new TransferDiffOptions();

  @Option(names = "--target", required = true, paramLabel = "T")
  private String target = "";

  @Option(names = "--output", required = true, paramLabel = "O")
  private Path output;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  TransferApplyCommand() {}

  @Override
  public Integer call() {
    DiffApplication.apply(Models.resolve(target), diffs.weighted(), output);
    return Whence.DONE;
  }
}
