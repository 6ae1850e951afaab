package dev.whence.cli;

import dev.whence.transfer.TransferException;
import dev.whence.transfer.diff.DiffApplication;
import dev.whence.transfer.merge.Policies;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Option;

/** Which diffs, with which weights. */
final class TransferDiffOptions {
  @Option(
      names = "--diff",
      required = true,
      paramLabel = "D[=W]",
      description = "a stored diff vector and its weight (default 1; -1 takes it out)")
  private List<String> diffs = List.of();

  @Option(
      names = "--policy",
      paramLabel = "non-finite=VALUE",
      description = "what to do with NaN and infinities: fail (the default) or propagate")
  private Map<String, String> policies = Map.of();

  /** What to do with what is not finite. */
  Policies.NonFinite nonFinite() {
    for (String name : policies.keySet()) {
      if (!name.equals("non-finite")) {
        throw new UsageException("the policy " + name + " is not of diffs: there is non-finite");
      }
    }
    try {
      return Policies.of(policies).nonFinite();
    } catch (TransferException e) {
      throw new UsageException(String.valueOf(e.getMessage()));
    }
  }

  List<DiffApplication.Weighted> weighted() {
    List<DiffApplication.Weighted> weighted = new ArrayList<>();
    List<String> wrong = new ArrayList<>();
    for (String diff : diffs) {
      int at = diff.lastIndexOf('=');
      try {
        weighted.add(
            at < 0
                ? new DiffApplication.Weighted(Path.of(diff), 1)
                : new DiffApplication.Weighted(
                    Path.of(diff.substring(0, at)), Double.parseDouble(diff.substring(at + 1))));
      } catch (NumberFormatException e) {
        wrong.add("'" + diff.substring(at + 1) + "' is no weight");
      }
    }
    if (!wrong.isEmpty()) {
      throw new UsageException(String.join("; ", wrong));
    }
    return weighted;
  }
}
