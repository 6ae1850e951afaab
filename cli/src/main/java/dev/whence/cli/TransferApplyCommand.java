package dev.whence.cli;

import dev.whence.transfer.diff.DiffApplication;
import dev.whence.transfer.merge.Policies;
import dev.whence.transfer.merge.Role;
import java.nio.file.Path;
import java.util.List;
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
    Policies.NonFinite nonFinite = diffs.nonFinite();
    List<DiffApplication.Weighted> weighted = diffs.weighted();
    TransferModels models = new TransferModels().add(Role.TARGET, target);
    if (!models.good()) {
      throw models.refusal(DiffApplication.problems(weighted));
    }
    DiffApplication.apply(models.of(Role.TARGET), weighted, output, nonFinite);
    return Whence.DONE;
  }
}
