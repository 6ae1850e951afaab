package dev.whence.transfer.gate;

import dev.whence.files.FileTree;
import dev.whence.transfer.merge.MergeRun;
import dev.whence.transfer.merge.OutputLock;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * What a gated run leaves beside its output when it is cut off: the candidate, finished or not, the
 * models that were only measured, and what was asked. The same gated run goes on with it, or {@code
 * resume}.
 */
public final class Candidate {
  private Candidate() {}

  /** Whether a gated run to an output was cut off. */
  public static boolean isLeft(Path output) {
    Path candidate = GatedTransfer.candidate(output);
    return isMerged(output)
        || Files.exists(GatedTransfer.scratch(candidate))
        || Files.exists(GatesFile.path(output));
  }

  /** Whether it is there, finished or not. */
  static boolean isMerged(Path output) {
    Path candidate = GatedTransfer.candidate(output);
    return Files.exists(candidate) || MergeRun.isUnfinished(candidate);
  }

  /**
   * Removes what it was asked, so that {@code resume} goes on with what is begun now.
   *
   * @throws dev.whence.transfer.merge.BusyException if somebody transfers to this output
   */
  public static void forget(Path output) throws IOException {
    OutputLock held = OutputLock.of(output);
    try {
      GatesFile.remove(output);
    } finally {
      held.close();
    }
  }

  /**
   * Removes it.
   *
   * @throws dev.whence.transfer.merge.BusyException if somebody transfers to this output
   */
  public static void discard(Path output) throws IOException {
    Path candidate = GatedTransfer.candidate(output);
    OutputLock held = OutputLock.of(output);
    try {
      MergeRun.discardUnfinished(candidate);
      FileTree.delete(candidate);
      FileTree.delete(GatedTransfer.scratch(candidate));
      GatesFile.remove(output);
    } finally {
      held.close();
    }
  }
}
