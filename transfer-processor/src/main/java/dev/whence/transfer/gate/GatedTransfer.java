package dev.whence.transfer.gate;

import dev.whence.files.FileProblem;
import dev.whence.files.FileTree;
import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.Directories;
import dev.whence.transfer.merge.Manifest;
import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.MergeRun;
import dev.whence.transfer.merge.OutputLock;
import dev.whence.transfer.merge.OutputState;
import dev.whence.transfer.merge.Published;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.merge.TransferRequest;
import dev.whence.transfer.place.Destination;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.BiConsumer;

/**
 * A transfer that is only published if its gates pass: merged to a candidate's place beside the
 * output, measured there, and then renamed or removed. A run that was cut off goes on at the
 * unfinished step. Base, fine-tuned model and target are measured before the merge: sets that can
 * not be read and a judge that fails cost no merge. If measuring fails later by what may pass, the
 * candidate stays for the next run of the same transfer.
 */
public final class GatedTransfer {
  private final MergeOptions options;
  private final MergeProgress progress;
  private final Gates gates;
  private final Optional<GatesFile> asked;

  /** What was measured of the plan's three models, for a step that is tried again. */
  private Optional<Known> known = Optional.empty();

  private record Known(String planId, List<GateReport.ModelLoss> losses) {}

  /**
   * How it ended.
   *
   * @param report what was measured
   * @param published whether the output holds the model now
   */
  public record Outcome(Manifest manifest, GateReport report, boolean published) {}

  public GatedTransfer(MergeOptions options, MergeProgress progress, Gates gates) {
    this(options, progress, gates, Optional.empty());
  }

  /**
   * @param asked is kept beside the candidate until the run has ended
   */
  public GatedTransfer(
      MergeOptions options, MergeProgress progress, Gates gates, Optional<GatesFile> asked) {
    this.options = options;
    this.progress = progress;
    this.gates = gates;
    this.asked = asked;
  }

  /** Where a transfer lies before it has passed. */
  public static Path candidate(Path output) {
    Path absolute = output.toAbsolutePath().normalize();
    return absolute.resolveSibling("." + absolute.getFileName() + ".whence-candidate");
  }

  /** As {@link #run(TransferRequest, Destination, BiConsumer)}, to a directory. */
  public Outcome run(
      TransferRequest request, Path output, BiConsumer<Manifest, GateReport> measured) {
    return run(request, Destination.of(output, output), measured);
  }

  /**
   * Runs a transfer with one lambda.
   *
   * @param measured is told of the measurements before anything is published or removed
   * @throws TransferException if it fails; a rejection is no failure
   * @throws dev.whence.transfer.merge.BusyException if somebody else transfers to this output
   */
  public Outcome run(
      TransferRequest request, Destination to, BiConsumer<Manifest, GateReport> measured) {
    Outcome outcome = measure(request, to, measured);
    publish(outcome, to);
    return outcome;
  }

  /**
   * All but the last step of {@link #run}: afterwards what has passed is in the destination's
   * directory, or at its place.
   */
  public Outcome measure(
      TransferRequest request, Destination to, BiConsumer<Manifest, GateReport> measured) {
    if (request.lambdas().size() != 1) {
      throw new TransferException(
          "a gated transfer has one lambda; further ones belong into its sweep");
    }
    gates.check(request);
    Path output = to.directory();
    try {
      OutputLock held = OutputLock.of(output);
      try {
        Outcome outcome = locked(request, to, measured);
        GatesFile.remove(output);
        return outcome;
      } catch (TransferException e) {
        if (!Candidate.isMerged(output)) {
          GatesFile.remove(output); // nothing is left to go on with
        }
        throw e;
      } finally {
        held.close();
      }
    } catch (IOException e) {
      throw new TransferException(
          "the transfer to " + output + " failed " + FileProblem.unwritten(e, output), e);
    }
  }

  /**
   * The last step of {@link #run}, which may be tried again if it fails by what {@linkplain
   * TransferException#isOfEnvironment is of the environment}.
   */
  public void publish(Outcome outcome, Destination to) {
    Path output = to.directory();
    if (outcome.published() && Files.exists(output)) {
      Manifest manifest = outcome.manifest();
      to.publish(
          new Published(
              manifest.plan(), List.of(new Published.Model(output, manifest)), /* before= */ true),
          MergeProgress.NONE,
          options.stop());
    }
  }

  private Outcome locked(
      TransferRequest request, Destination to, BiConsumer<Manifest, GateReport> measured)
      throws IOException {
    Path output = to.directory();
    Path candidate = candidate(output);
    Manifest manifest;
    List<GateReport.ModelLoss> losses;
    try (TransferPlan plan = TransferPlan.of(request)) {
      Optional<Published> atItsPlace = to.there(plan);
      if (atItsPlace.isPresent()) {
        Published.Model model = atItsPlace.get().models().get(0);
        return published(request, model.directory(), candidate, model.manifest(), measured);
      }
      Optional<Manifest> there = Manifest.read(output);
      if (there.isPresent() && there.get().plan().equals(plan.id())) {
        return published(request, output, candidate, there.get(), measured);
      }
      OutputState.occupied(output)
          .ifPresent(
              reason -> {
                throw new TransferException(reason);
              });
      MergeRun.moveUnfinished(plan, output, candidate); // else 'resume' would publish it ungated
      if (asked.isPresent()) {
        asked.get().write(output);
      } else {
        GatesFile.remove(output); // of another run
      }
      Optional<Manifest> old = Manifest.read(candidate);
      if (!old.map(Manifest::plan).equals(Optional.of(plan.id()))) {
        delete(candidate); // of another transfer, or half removed, by a run that was cut off
      }
      delete(scratch(candidate)); // what a killed run left
      OutputState.refuseShortOfGates(plan, candidate);
      losses = losses(plan);
      Published merged = MergeRun.run(plan, candidate, options, progress);
      manifest = merged.models().get(0).manifest();
    }
    GateReport report;
    try {
      report = gates.measure(request, losses, candidate, scratch(candidate));
    } catch (TransferException e) {
      if (e.mayPass()) {
        throw TransferException.passing(
            e.getMessage()
                + "; the merged model stays in "
                + candidate
                + ", and the same transfer to the same output goes on with measuring it",
            e);
      }
      delete(candidate);
      throw e;
    }
    measured.accept(manifest, report);
    if (report.passed()) {
      publish(candidate, output);
    } else {
      delete(candidate);
    }
    return new Outcome(manifest, report, report.passed());
  }

  private List<GateReport.ModelLoss> losses(TransferPlan plan) {
    if (known.isEmpty() || !known.get().planId().equals(plan.id())) {
      known = Optional.of(new Known(plan.id(), gates.losses(plan.request())));
    }
    return known.get().losses();
  }

  /** The output holds this transfer; nothing says that gates have let it pass, so they look. */
  private Outcome published(
      TransferRequest request,
      Path output,
      Path candidate,
      Manifest manifest,
      BiConsumer<Manifest, GateReport> measured) {
    GateReport report = gates.measure(request, output, scratch(candidate));
    measured.accept(manifest, report);
    if (!report.passed()) {
      throw new TransferException(
          output + " holds this transfer already, and it does not pass the gates: remove it");
    }
    return new Outcome(manifest, report, true);
  }

  static Path scratch(Path candidate) {
    return candidate.resolveSibling(candidate.getFileName() + ".scratch");
  }

  private static void publish(Path candidate, Path output) {
    try {
      if (Files.isDirectory(output)) {
        Files.delete(output); // only an empty one goes
      }
      Directories.move(candidate, output);
    } catch (IOException e) {
      throw new TransferException(
          output + " could not be published: " + FileProblem.of(e, output), e);
    }
  }

  static void delete(Path directory) {
    try {
      FileTree.delete(directory);
    } catch (IOException e) {
      throw new TransferException(
          directory + " could not be removed: " + FileProblem.of(e, directory), e);
    }
  }
}
