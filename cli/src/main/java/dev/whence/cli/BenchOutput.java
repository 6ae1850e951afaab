package dev.whence.cli;

import dev.whence.benchmarks.Report;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;

/** Where the figures go. */
final class BenchOutput {
  @Option(names = "--json", description = "JSON instead of tables")
  private boolean json;

  @Option(
      names = "--report",
      paramLabel = "F.md",
      description = "also writes machine, versions, date, command and figures there")
  private Optional<Path> report = Optional.empty();

  Consumer<String> progress(CommandSpec spec) {
    PrintWriter err = spec.commandLine().getErr();
    return sentence -> {
      err.println(sentence);
      err.flush();
    };
  }

  void write(CommandSpec spec, Report figures) throws IOException {
    PrintWriter out = spec.commandLine().getOut();
    out.println(json ? figures.json() : figures.markdown());
    out.flush();
    if (report.isPresent()) {
      figures.evidence(command(spec)).write(report.get());
    }
  }

  /** The command as it was given, paths cut to their last name. */
  private static String command(CommandSpec spec) {
    List<String> words = spec.root().commandLine().getParseResult().originalArgs();
    return words.stream()
        .map(word -> word.contains("/") ? String.valueOf(Path.of(word).getFileName()) : word)
        .collect(Collectors.joining(" ", "./whence ", ""));
  }
}
