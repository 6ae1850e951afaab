package dev.whence.transfer.merge;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.util.Set;
import java.util.function.BooleanSupplier;

/**
 * How a merge runs.
 *
 * @param workers threads; more than processors, so that one reads while another computes
 * @param memoryBytes of all buffers together, whatever the models' size
 * @param forceBytes written before they are forced to disk and noted: what a killed run does again
 * @param durable whether results are forced to disk; not where they are only looked at
 * @param directBytes a merge that reads and writes as much in all goes past the page cache, where
 *     the file system can; a smaller one goes through it, where those who use the result find it
 * @param stop asked between pieces: true leaves the work for a later run
 * @param opener opens the files that are written, and those that are read past the page cache; not
 *     those that are read through it
 */
public record MergeOptions(
    int workers,
    long memoryBytes,
    long forceBytes,
    boolean durable,
    long directBytes,
    BooleanSupplier stop,
    Opener opener) {

  private static final long DEFAULT_MEMORY = 128L << 20;
  private static final long DEFAULT_FORCE = 256L << 20;
  private static final long DEFAULT_DIRECT = 1L << 30;

  /** Opens files for writing, or for reading past the page cache. */
  @FunctionalInterface
  public interface Opener {
    FileChannel open(Path file, Set<? extends OpenOption> options) throws IOException;
  }

  /** Two threads for each processor, 128 MiB of buffers. */
  public static MergeOptions defaults() {
    return new MergeOptions(
        Math.min(32, 2 * Runtime.getRuntime().availableProcessors()),
        DEFAULT_MEMORY,
        DEFAULT_FORCE,
        true,
        DEFAULT_DIRECT,
        () -> false,
        FileChannel::open);
  }

  public MergeOptions withStop(BooleanSupplier other) {
    return new MergeOptions(workers, memoryBytes, forceBytes, durable, directBytes, other, opener);
  }

  public MergeOptions withOpener(Opener other) {
    return new MergeOptions(workers, memoryBytes, forceBytes, durable, directBytes, stop, other);
  }

  public MergeOptions withWorkers(int other) {
    return new MergeOptions(other, memoryBytes, forceBytes, durable, directBytes, stop, opener);
  }

  public MergeOptions withMemoryBytes(long other) {
    return new MergeOptions(workers, other, forceBytes, durable, directBytes, stop, opener);
  }

  public MergeOptions withForceBytes(long other) {
    return new MergeOptions(workers, memoryBytes, other, durable, directBytes, stop, opener);
  }

  public MergeOptions withDirectBytes(long other) {
    return new MergeOptions(workers, memoryBytes, forceBytes, durable, other, stop, opener);
  }

  /** For results that are looked at and thrown away. */
  public MergeOptions notDurable() {
    return new MergeOptions(workers, memoryBytes, forceBytes, false, directBytes, stop, opener);
  }
}
