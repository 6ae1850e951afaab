package dev.whence.transfer.place;

import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.Published;
import dev.whence.transfer.merge.TransferPlan;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.BooleanSupplier;

/** A directory: the merge engine's own rename has published it. */
record DirectoryDestination(Path place) implements Destination {
  @Override
  public Path directory() {
    return place;
  }

  /** The merge engine itself looks there. */
  @Override
  public Optional<Published> there(TransferPlan plan) {
    return Optional.empty();
  }

  /** A result in its directory is at its place. */
  @Override
  public Optional<Published> unpublished() {
    return Optional.empty();
  }

  @Override
  public Published publish(Published merged, MergeProgress progress, BooleanSupplier stop) {
    return merged;
  }
}
