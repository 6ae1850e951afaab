package dev.whence.engine.weights;

import dev.whence.conversation.OwnFile;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * One writer at a time, whatever process it is in. The lock is the operating system's: it is held
 * as long as the work takes, or its process lives; the empty file stays.
 */
public final class WriterLock {
  /** The system's lock is a process's: closing another channel of the file would give it back. */
  private static final Set<Path> HELD = ConcurrentHashMap.newKeySet();

  private WriterLock() {}

  /**
   * Works while nobody else does so under the same lock.
   *
   * @param lock a file in a directory that is there; made where it is missing
   * @return false if somebody else is at work: then nothing was done
   * @throws IOException if the file can not be made or locked
   */
  public static boolean alone(Path lock, Runnable work) throws IOException {
    Path name = lock.toAbsolutePath().normalize();
    if (!HELD.add(name)) {
      return false;
    }
    try (FileChannel channel =
        OwnFile.open(name, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
      if (!locked(channel)) {
        return false;
      }
      work.run();
      return true;
    } finally {
      HELD.remove(name);
    }
  }

  private static boolean locked(FileChannel channel) throws IOException {
    try {
      return channel.tryLock() != null;
    } catch (OverlappingFileLockException e) {
      return false; // by this process, under another name of the file
    }
  }
}
