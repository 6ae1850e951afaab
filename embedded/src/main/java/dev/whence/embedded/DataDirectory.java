package dev.whence.embedded;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.jspecify.annotations.Nullable;

/**
 * A directory that one owner at a time may write to. The lock is the operating system's, so it goes
 * with the process that holds it, however that process ends.
 */
public final class DataDirectory implements AutoCloseable {
  private static final String LOCK_FILE = "in-use.lock";

  private final Path path;
  private final FileChannel channel;

  private DataDirectory(Path path, FileChannel channel) {
    this.path = path;
    this.channel = channel;
  }

  /**
   * Creates the directory where it is missing and takes its lock.
   *
   * @throws DataDirectoryInUseException if another process, or another owner in this one, has it
   * @throws IOException if it can not be created or written
   */
  public static DataDirectory acquire(Path directory) throws IOException {
    Path path = directory.toAbsolutePath().normalize();
    Files.createDirectories(path);
    FileChannel channel =
        FileChannel.open(
            path.resolve(LOCK_FILE), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
    try {
      if (lock(channel) == null) {
        throw new DataDirectoryInUseException(path);
      }
      return new DataDirectory(path, channel);
    } catch (IOException | RuntimeException e) {
      channel.close();
      throw e;
    }
  }

  private static @Nullable FileLock lock(FileChannel channel) throws IOException {
    try {
      return channel.tryLock();
    } catch (OverlappingFileLockException e) {
      return null; // held by this JVM
    }
  }

  /** Absolute. */
  public Path path() {
    return path;
  }

  /** Gives the lock back; the directory stays. */
  @Override
  public void close() throws IOException {
    channel.close();
  }
}
