package dev.whence.cli;

import dev.whence.transfer.diff.DiffApplication;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Option;

/** Which diffs, with which weights. */
final class TransferDiffOptions {
  @Option(
      names = "--diff",
      required = true,
      paramLabel = "D[=W]",
      description = "a stored diff vector and its weight (default 1; -1 takes it out)")
  private List<String> diffs = List.of();

  List<DiffApplication.Weighted> weighted() {
    List<DiffApplication.Weighted> weighted = new ArrayList<>();
    for (String diff : diffs) {
      int at = diff.lastIndexOf('=');
      try {
        weighted.add(
            at < 0
                ? new DiffApplication.Weighted(Path.of(diff), 1)
                : new DiffApplication.Weighted(
                    Path.of(diff.substring(0, at)), Double.parseDouble(diff.substring(at + 1))));
      } catch (NumberFormatException e) {
        throw new UsageException("'" + diff.substring(at + 1) + "' is no weight");
      }
    }
    return weighted;
  }
}
