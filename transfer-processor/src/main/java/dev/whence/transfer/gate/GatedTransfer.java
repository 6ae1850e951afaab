package dev.whence.transfer.gate;

import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.Manifest;
import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.MergeRun;
import dev.whence.transfer.merge.Published;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.merge.TransferRequest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.Objects;
import java.util.Optional;
import java.util.function.BiConsumer;

/**
 * A transfer that is only published if its gates pass: merged to a candidate's place beside the
 * output, measured there, and then renamed or removed. A run that was cut off goes on at the
 * unfinished step.
 */
public final class GatedTransfer {
  private final MergeOptions options;
  private final MergeProgress progress;
  private final Gates gates;

  /**
   * How it ended.
   *
   * @param report what was measured; empty if an earlier run had published the same transfer
   * @param published whether the output holds the model now
   */
  public record Outcome(Manifest manifest, Optional<GateReport> report, boolean published) {}

  public GatedTransfer(MergeOptions options, MergeProgress progress, Gates gates) {
    this.options = options;
    this.progress = progress;
    this.gates = gates;
  }

  /** Where a transfer lies before it has passed. */
  public static Path candidate(Path output) {
    Path absolute = output.toAbsolutePath().normalize();
    return absolute.resolveSibling("." + absolute.getFileName() + ".whence-candidate");
  }

  /**
   * Runs a transfer with one lambda.
   *
   * @param measured is told of the measurements before anything is published or removed
   * @throws TransferException if it fails; a rejection is no failure
   */
  public Outcome run(
      TransferRequest request, Path output, BiConsumer<Manifest, GateReport> measured) {
    if (request.lambdas().size() != 1) {
      throw new TransferException(
          "a gated transfer has one lambda; further ones belong into its sweep");
    }
    Path candidate = candidate(output);
    Manifest manifest;
    try (TransferPlan plan = TransferPlan.of(request)) {
      Optional<Manifest> there = Manifest.read(output);
      if (there.isPresent() && there.get().plan().equals(plan.id())) {
        return new Outcome(there.get(), Optional.empty(), true);
      }
      refuseOccupied(output);
      Optional<Manifest> old = Manifest.read(candidate);
      if (old.isPresent() && !old.get().plan().equals(plan.id())) {
        delete(candidate); // of another transfer, which was cut off
      }
      Published merged = MergeRun.run(plan, candidate, options, progress);
      manifest = merged.models().get(0).manifest();
    }
    GateReport report;
    try {
      Path scratch = candidate.resolveSibling(candidate.getFileName() + ".scratch");
      report = gates.measure(request, candidate, scratch);
    } catch (TransferException e) {
      delete(candidate);
      throw e;
    }
    measured.accept(manifest, report);
    if (report.passed()) {
      publish(candidate, output);
    } else {
      delete(candidate);
    }
    return new Outcome(manifest, Optional.of(report), report.passed());
  }

  private static void refuseOccupied(Path output) {
    if (Files.exists(output)) {
      throw new TransferException(
          output
              + " exists and is not the result of this transfer: give another output, or remove"
              + " it");
    }
  }

  private static void publish(Path candidate, Path output) {
    try {
      Files.createDirectories(
          Objects.requireNonNull(output.toAbsolutePath().normalize().getParent()));
      Files.move(candidate, output, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw new TransferException(output + " could not be published: " + e, e);
    }
  }

  private static void delete(Path directory) {
    if (!Files.exists(directory)) {
      return;
    }
    try (var files = Files.walk(directory)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    } catch (IOException e) {
      throw new TransferException(directory + " could not be removed: " + e, e);
    }
  }
}
