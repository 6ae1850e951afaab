package dev.whence.cli;

import dev.whence.transfer.TransferException;
import dev.whence.transfer.gate.Candidate;
import dev.whence.transfer.gate.GatesFile;
import dev.whence.transfer.merge.Expectation;
import dev.whence.transfer.merge.Manifest;
import dev.whence.transfer.merge.Published;
import dev.whence.transfer.merge.RequestFile;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.merge.TransferRequest;
import dev.whence.transfer.place.Destination;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Goes on with a run that was cut off. */
@Command(
    name = "resume",
    description = "Goes on with a run that was cut off; verifies what is there.",
    mixinStandardHelpOptions = true)
final class TransferResumeCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Mixin private TransferOutputOptions output = new TransferOutputOptions();
  @Mixin private TransferExpectedOptions expected = new TransferExpectedOptions();

  @Option(
      names = "--report",
      paramLabel = "F.html",
      description = "of a run with gates: the gates with their curves, as one page")
  private Optional<Path> report = Optional.empty();

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  TransferResumeCommand() {}

  @Override
  public Integer call() throws IOException {
    ProgressBar bar = ProgressBar.on(spec.commandLine().getErr());
    Destination destination = output.destination();
    Expectation expectation = expected.expectation();
    Optional<Published> finished = destination.unpublished();
    if (finished.isPresent()) {
      refuseReport();
      Map<Path, Manifest> results = new TreeMap<>();
      finished.get().models().forEach(model -> results.put(model.directory(), model.manifest()));
      TransferException.refuse(expectation.differences(destination.place(), results));
      try {
        TransferProgress.say(
            spec.commandLine().getOut(),
            destination.publish(finished.get(), TransferProgress.on(bar), () -> false));
        TransferProgress.discardCandidate(destination, bar);
      } finally {
        bar.finish();
      }
      return Whence.DONE;
    }
    Path directory = destination.directory();
    Optional<GatesFile> gated = GatesFile.find(directory);
    TransferRequest request =
        gated
            .map(GatesFile::request)
            .or(() -> RequestFile.find(directory))
            .orElseThrow(() -> nothingToResume(directory));
    TransferException.refuse(expectation.differences(destination.place(), request));
    if (gated.isPresent()) {
      report.ifPresent(file -> OutputFile.checkWritable("--report", file));
      check(directory, gated.get());
      PrintWriter out = spec.commandLine().getOut();
      return new GatedRun(gated.get(), Optional.empty(), report, out, bar).to(destination);
    }
    refuseReport();
    try (TransferPlan plan = TransferPlan.of(request)) {
      TransferProgress.say(
          spec.commandLine().getOut(), TransferProgress.run(plan, destination, bar));
    }
    return Whence.DONE;
  }

  private void refuseReport() {
    if (report.isPresent()) {
      throw new UsageException("--report: no gates are measured in what is left of this transfer");
    }
  }

  /** Whether what it was asked is there still. */
  private static void check(Path output, GatesFile asked) {
    try {
      InputFile.check("--task-set", asked.limits().taskSet());
      InputFile.check("--general-set", asked.limits().generalSet());
      GatedRun.check(asked.dtype(), Optional.empty());
    } catch (UsageException e) {
      throw new TransferException(
          "the transfer to "
              + output
              + " can not go on as it was asked ("
              + e.getMessage()
              + "): give the 'transfer run --gates' command again, with what is there",
          e);
    }
  }

  private static TransferException nothingToResume(Path output) {
    return new TransferException(
        Candidate.isLeft(output)
            ? "the transfer to "
                + output
                + " was cut off in a run with gates, and what it was asked is not kept (it had a"
                + " --judge, or another program or version began it): give the same 'transfer run"
                + " --gates' command again, and it goes on where it was"
            : "there is no unfinished transfer to " + output + ": nothing to resume");
  }
}
