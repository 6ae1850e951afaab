package dev.whence.files;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * One writer at a time, whatever process it is in. The lock is the operating system's: it goes with
 * the process that holds it, however that process ends; the empty file stays.
 */
public final class WriterLock implements AutoCloseable {
  /**
   * The system's lock is a process's: closing another channel of the file would give it back. So a
   * name stays here until its channel is closed.
   */
  private static final Set<Path> HELD = ConcurrentHashMap.newKeySet();

  private final Path name;
  private final FileChannel channel;

  private WriterLock(Path name, FileChannel channel) {
    this.name = name;
    this.channel = channel;
  }

  /**
   * Takes a lock.
   *
   * @param file in a directory that is there; made where it is missing
   * @return nothing if somebody else has it, in this process or another
   * @throws OwnFile.LinkException if a link is in its place
   * @throws IOException if the file can not be made or locked
   */
  public static Optional<WriterLock> acquire(Path file) throws IOException {
    Path absolute = file.toAbsolutePath();
    Path directory = Objects.requireNonNull(absolute.getParent(), "the root is no file");
    // One name, whichever links lead to it.
    Path name = directory.toRealPath().resolve(file.getFileName());
    if (!HELD.add(name)) {
      return Optional.empty();
    }
    FileChannel channel = null;
    boolean locked = false;
    try {
      channel = OwnFile.open(name, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
      locked = isLocked(channel);
      return locked ? Optional.of(new WriterLock(name, channel)) : Optional.empty();
    } finally {
      if (!locked) {
        giveBack(channel, name);
      }
    }
  }

  /**
   * Works while nobody else does so under the same lock.
   *
   * @param file as for {@link #acquire}
   * @return false if somebody else is at work: then nothing was done
   * @throws IOException as {@link #acquire}
   */
  @SuppressWarnings("try")
  public static boolean alone(Path file, Runnable work) throws IOException {
    Optional<WriterLock> lock = acquire(file);
    if (lock.isEmpty()) {
      return false;
    }
    try (WriterLock held = lock.get()) { // not used, but held
      work.run();
      return true;
    }
  }

  private static boolean isLocked(FileChannel channel) throws IOException {
    try {
      return channel.tryLock() != null;
    } catch (OverlappingFileLockException e) {
      return false; // by this process, under another name of the file
    }
  }

  /** Gives the lock back; a second time does nothing. */
  @Override
  public synchronized void close() throws IOException {
    if (channel.isOpen()) {
      giveBack(channel, name);
    }
  }

  private static void giveBack(@Nullable FileChannel channel, Path name) throws IOException {
    try {
      if (channel != null) {
        channel.close();
      }
    } finally {
      HELD.remove(name);
    }
  }
}
