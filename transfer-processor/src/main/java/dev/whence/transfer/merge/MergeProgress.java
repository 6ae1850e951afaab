package dev.whence.transfer.merge;

/** Hears how far a merge is; called from several threads. */
public interface MergeProgress {
  /** Nobody listens. */
  MergeProgress NONE = (moved, total) -> {};

  /**
   * Some bytes were moved.
   *
   * @param moved bytes read and written so far
   * @param total bytes to be read and written
   */
  void moved(long moved, long total);
}
