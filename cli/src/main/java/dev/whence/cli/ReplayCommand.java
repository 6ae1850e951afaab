package dev.whence.cli;

import dev.whence.ingest.Replay;
import dev.whence.ingest.ReplayListener;
import dev.whence.ingest.ReplayOptions;
import dev.whence.ingest.ReplayProgress;
import dev.whence.ingest.ReplayReport;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicLong;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Puts the records of a JSONL file on the responses topic. */
@Command(
    name = "replay",
    description = {
      "Puts the responses of a JSONL file (or .gz) on the responses topic.",
      "How far it came is kept in a progress file, for this file and this topic of this cluster:"
          + " the next run goes on there, also where lines were appended since. For another"
          + " cluster or topic give another --progress-file, or --from-start."
    },
    mixinStandardHelpOptions = true)
final class ReplayCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private ConnectionOptions connection = new ConnectionOptions();

  @Option(names = "--input", required = true, paramLabel = "F.jsonl")
  private Path input;

  @Option(
      names = "--rate",
      paramLabel = "R",
      defaultValue = "0",
      description = "responses per second at most; 0: as fast as Kafka takes them")
  private double rate;

  @Option(
      names = "--from-start",
      description = "ignores how far an earlier replay of the file came")
  private boolean fromStart;

  @Option(
      names = "--progress-file",
      paramLabel = "P",
      description = "where to keep how far it came (default: F.jsonl.whence-progress)")
  private Optional<Path> progressFile = Optional.empty();

  @Option(
      names = "--register-schemas",
      description = "registers schemas that are not there (otherwise: whence topics --create)")
  private boolean registerSchemas;

  @Option(
      names = "--patience",
      paramLabel = "SECONDS",
      defaultValue = "60",
      description = "gives up if nothing is acknowledged for so long (default: ${DEFAULT-VALUE})")
  private int patienceSeconds;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  ReplayCommand() {}

  @Override
  public Integer call() throws Exception {
    InputFile.check(input);
    if (progressFile.isPresent()
        && Files.exists(progressFile.get())
        && Files.isSameFile(progressFile.get(), input)) {
      throw new UsageException(
          "--progress-file is the input itself, which would be written over; name another one");
    }
    PrintWriter err = spec.commandLine().getErr();
    ProgressBar bar = ProgressBar.on(err);
    AtomicLong named = new AtomicLong();
    ReplayListener listener =
        new ReplayListener() {
          @Override
          public void resumed(long afterLine) {
            bar.note("resuming after line " + afterLine);
          }

          @Override
          public void badLine(long line, String problem) {
            named.incrementAndGet();
            bar.note(input + ", line " + line + ": " + problem);
          }

          @Override
          public void progress(ReplayProgress progress) {
            bar.show(
                progress.bytesRead(), progress.bytesTotal(), progress.acknowledged(), "responses");
          }
        };
    ReplayReport report =
        new Replay(options(), listener)
            .run(connection.application().autoRegisterSchemas(registerSchemas));
    bar.finish();
    PrintWriter out = spec.commandLine().getOut();
    out.println(
        report.acknowledged()
            + " responses acknowledged, "
            + report.badLines()
            + " bad lines, "
            + report.lines()
            + " lines"
            + (report.resumedAfter() > 0 ? ", resumed after line " + report.resumedAfter() : ""));
    out.flush();
    if (report.badLines() > 0 && named.get() == 0) {
      err.println(
          "whence: a run before this one came upon "
              + report.badLines()
              + " bad lines, which are not on the topic; mend them and use --from-start");
    }
    return report.succeeded() ? Whence.DONE : Whence.FAILED;
  }

  private ReplayOptions options() {
    try {
      Duration patience = Duration.ofSeconds(patienceSeconds);
      return progressFile
          .map(file -> new ReplayOptions(input, rate, fromStart, patience, file.toAbsolutePath()))
          .orElseGet(() -> new ReplayOptions(input, rate, fromStart, patience));
    } catch (IllegalArgumentException e) {
      throw new UsageException(String.valueOf(e.getMessage()));
    }
  }
}
