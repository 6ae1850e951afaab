package dev.whence.cli;

import dev.whence.transfer.diff.DiffApplication;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Adds diff vectors up to one. */
@Command(
    name = "compose",
    description = "Adds stored diffs with their weights up to one.",
    mixinStandardHelpOptions = true)
final class TransferComposeCommand implements Callable<Integer> {
  @Mixin private TransferDiffOptions diffs = new TransferDiffOptions();

  @Option(names = "--output", required = true, paramLabel = "D")
  private Path output;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  TransferComposeCommand() {}

  @Override
  public Integer call() {
    DiffApplication.compose(diffs.weighted(), output, diffs.nonFinite());
    return Whence.DONE;
  }
}
