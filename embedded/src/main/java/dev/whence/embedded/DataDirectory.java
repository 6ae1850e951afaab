package dev.whence.embedded;

import dev.whence.files.WriterLock;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A directory that one owner at a time may write to. The lock is the operating system's, so it goes
 * with the process that holds it, however that process ends.
 */
public final class DataDirectory implements AutoCloseable {
  private static final String LOCK_FILE = "in-use.lock";

  private final Path path;
  private final WriterLock lock;

  private DataDirectory(Path path, WriterLock lock) {
    this.path = path;
    this.lock = lock;
  }

  /**
   * Creates the directory where it is missing and takes its lock.
   *
   * @throws DataDirectoryInUseException if another process, or another owner in this one, has it
   * @throws IOException if it can not be created or written, or a link lies where its lock is to be
   */
  public static DataDirectory acquire(Path directory) throws IOException {
    Path path = directory.toAbsolutePath().normalize();
    Files.createDirectories(path);
    WriterLock lock =
        WriterLock.acquire(path.resolve(LOCK_FILE))
            .orElseThrow(() -> new DataDirectoryInUseException(path));
    return new DataDirectory(path, lock);
  }

  /** Absolute. */
  public Path path() {
    return path;
  }

  /** Gives the lock back; the directory stays. */
  @Override
  public void close() throws IOException {
    lock.close();
  }
}
