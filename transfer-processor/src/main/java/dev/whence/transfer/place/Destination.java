package dev.whence.transfer.place;

import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.Published;
import dev.whence.transfer.merge.TransferPlan;
import java.nio.file.FileSystems;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.BooleanSupplier;

/**
 * Where a transfer is to appear. The merge engine always works in a {@linkplain #directory
 * directory}, where it can go on after a kill; what it made is then published.
 */
public sealed interface Destination permits DirectoryDestination, BucketDestination {
  /**
   * A destination of a path.
   *
   * @param place a directory that does not exist yet, or a prefix of a bucket
   * @param work where what goes to a bucket grows
   */
  static Destination of(Path place, Path work) {
    return place.getFileSystem().equals(FileSystems.getDefault())
        ? new DirectoryDestination(place)
        : new BucketDestination(place, work);
  }

  /** Where it is to appear. */
  Path place();

  /** Where the merge engine puts it. */
  Path directory();

  /**
   * What is at the place, if an earlier run has published this very plan there.
   *
   * @throws TransferException if something else is there
   */
  Optional<Published> there(TransferPlan plan);

  /** What lies finished in the directory because a run was cut off before it was at its place. */
  Optional<Published> unpublished();

  /**
   * Makes what is in the directory appear at its place. A run that is stopped or killed on the way
   * goes on when it is published again.
   *
   * @param progress hears of bytes sent
   * @param stop asked between pieces
   * @return the same, at its place
   * @throws TransferException if that is not possible; unless something else is at the place, what
   *     is in the directory stays there, to be published again
   */
  Published publish(Published merged, MergeProgress progress, BooleanSupplier stop);
}
