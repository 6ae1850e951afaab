package dev.whence.cli;

import dev.whence.engine.EngineOptions;
import dev.whence.transfer.gate.CommandJudge;
import dev.whence.transfer.gate.EngineJudge;
import dev.whence.transfer.gate.GateReport;
import dev.whence.transfer.gate.GatedTransfer;
import dev.whence.transfer.gate.Gates;
import dev.whence.transfer.gate.GatesFile;
import dev.whence.transfer.merge.Manifest;
import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.place.Destination;
import dev.whence.transfer.report.TransferReport;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * A transfer with gates, from the command that asked for it or one that goes on with it.
 *
 * @param command judges in the engine's place; what has one is not kept for {@code resume}
 * @param report where the page with the curves goes
 */
record GatedRun(
    GatesFile asked,
    Optional<CommandJudge> command,
    Optional<Path> report,
    PrintWriter out,
    ProgressBar bar) {
  /**
   * What can be told before models are looked at.
   *
   * @throws UsageException if an option can not be
   */
  static void check(String dtype, Optional<Path> report) {
    engine(dtype);
    // A model that is published has to have its page.
    report.ifPresent(file -> OutputFile.checkWritable("--report", file));
  }

  /** Runs what was {@linkplain #check checked}; the exit status. */
  int to(Destination destination) throws IOException {
    NativeEnd.prepare();
    Gates gates =
        new Gates(
            command.isPresent() ? command.get() : new EngineJudge(engine(asked.dtype())),
            asked.limits(),
            MergeOptions.defaults(),
            bar::note);
    List<IOException> unwritten = new ArrayList<>();
    GatedTransfer transfer =
        new GatedTransfer(
            MergeOptions.defaults(),
            TransferProgress.on(bar),
            gates,
            command.isPresent() ? Optional.empty() : Optional.of(asked));
    GatedTransfer.Outcome outcome =
        transfer.run(
            asked.request(),
            destination,
            (manifest, measured) -> {
              try {
                write(manifest, measured);
              } catch (IOException e) {
                unwritten.add(e);
              }
            });
    bar.finish();
    if (!outcome.published()) {
      bar.note("whence: rejected by the gates that failed (see the list); nothing was published");
    }
    verdicts(outcome.report());
    out.println(
        outcome.published()
            ? destination.place()
                + " holds the transferred model, digest "
                + outcome.manifest().digest()
            : "rejected: nothing was published");
    out.flush();
    if (!unwritten.isEmpty()) {
      throw unwritten.get(0);
    }
    return outcome.published() ? Whence.DONE : Whence.FAILED;
  }

  private static EngineOptions engine(String dtype) {
    try {
      return EngineOptions.defaults().withDtype(EngineOptions.Dtype.of(dtype));
    } catch (IllegalArgumentException e) {
      throw new UsageException(String.valueOf(e.getMessage()));
    }
  }

  private void write(Manifest manifest, GateReport measured) throws IOException {
    if (report.isPresent()) {
      Files.writeString(report.get(), TransferReport.html(manifest, measured, asked.limits()));
    }
  }

  private void verdicts(GateReport measured) {
    for (GateReport.Gate gate : measured.gates()) {
      out.println(
          (gate.passed() ? "passed  " : "failed  ")
              + gate.name()
              + ": "
              + Failure.oneLine(gate.detail()));
    }
    for (GateReport.ModelLoss loss : measured.losses()) {
      out.printf(
          Locale.ROOT,
          "loss    %-12s task %.4f, general %.4f nats per token%n",
          loss.model(),
          loss.task(),
          loss.general());
    }
    for (GateReport.Point point : measured.sweep()) {
      out.printf(
          Locale.ROOT,
          "lambda  %-12s task %.4f, general %.4f nats per token%n",
          point.at(),
          point.task(),
          point.general());
    }
  }
}
