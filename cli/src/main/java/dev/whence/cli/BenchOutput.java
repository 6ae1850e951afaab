package dev.whence.cli;

import dev.whence.benchmarks.Report;
import dev.whence.files.FileProblem;
import dev.whence.influence.InfluenceException;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
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

  /** A benchmark. */
  interface Bench<O, R extends Report> {
    R run(O options, Consumer<String> progress) throws Exception;
  }

  /**
   * Measures, and writes the figures.
   *
   * @param options what to measure; where they can not be, that is wrong usage
   */
  <O, R extends Report> R measure(CommandSpec spec, Callable<O> options, Bench<O, R> bench)
      throws Exception {
    O checked;
    try {
      checked = options.call();
    } catch (IllegalArgumentException | InfluenceException e) {
      throw new UsageException(String.valueOf(e.getMessage()));
    }
    report.ifPresent(BenchOutput::prepare);
    NativeEnd.prepare();
    R figures = bench.run(checked, progress(spec));
    write(spec, figures);
    return figures;
  }

  /** Before anything is measured: figures that can not be written would be lost. */
  private static void prepare(Path file) {
    Path directory = file.toAbsolutePath().normalize().getParent();
    if (directory != null) {
      try {
        Files.createDirectories(directory);
      } catch (IOException e) {
        throw new UsageException(
            "--report '" + file + "' can not be written: " + FileProblem.of(e, file));
      }
    }
    OutputFile.checkWritable("--report", file);
  }

  private Consumer<String> progress(CommandSpec spec) {
    PrintWriter err = spec.commandLine().getErr();
    return sentence -> {
      err.println(sentence);
      err.flush();
    };
  }

  private void write(CommandSpec spec, Report figures) throws IOException {
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
