package dev.whence.transfer.merge;

import dev.whence.files.OwnFile;
import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ThreadLocalRandom;

/**
 * Keeps other writers away from an output: a lock of the operating system on {@code
 * .NAME.whence-transfer.lock} beside it, which dies with its process.
 *
 * <p>A process loses its POSIX locks on a file as soon as it closes any descriptor of it. So
 * nothing here opens the file a second time, whoever holds the lock in this process is asked first,
 * and whether the locked file is still the one of that name is told by its size.
 */
public final class OutputLock implements AutoCloseable {
  /** The lock belongs to the process, and so does the knowledge of what it holds. */
  private static final Set<Path> HELD = ConcurrentHashMap.newKeySet();

  private static final int LARGEST_MARK = 1 << 20;
  private static final int LOOKS = 2;

  private final Path file;
  private final FileChannel channel;

  private OutputLock(Path file, FileChannel channel) {
    this.file = file;
    this.channel = channel;
  }

  /**
   * Locks the place of an output.
   *
   * @throws BusyException if somebody else writes there
   */
  public static OutputLock of(Path output) throws IOException {
    if (output.getFileSystem().isReadOnly()) {
      throw new TransferException(
          output
              + " can not be an output here: only 'transfer run' and the processor publish there");
    }
    Path absolute = output.toAbsolutePath().normalize();
    Path parent = absolute.getParent();
    if (parent == null) {
      throw new TransferException(output + " can not be an output: it has no parent directory");
    }
    Files.createDirectories(parent);
    Path file = file(parent, absolute);
    if (!HELD.add(file)) {
      throw busy(output, file);
    }
    boolean locked = false;
    try {
      while (true) {
        FileChannel channel =
            OwnFile.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        if (!tryLock(channel)) {
          channel.close();
          throw busy(output, file);
        }
        // Whoever held the lock before may have removed the file that was opened here.
        if (isStill(file, channel)) {
          locked = true;
          return new OutputLock(file, channel);
        }
        channel.close();
      }
    } finally {
      if (!locked) {
        HELD.remove(file);
      }
    }
  }

  /** Whether somebody writes to an output; leaves nothing behind. */
  static boolean isHeld(Path output) throws IOException {
    Path absolute = output.toAbsolutePath().normalize();
    Path parent = absolute.getParent();
    if (parent == null || !Files.isDirectory(parent)) {
      return false;
    }
    Path file = file(parent, absolute);
    // Who holds it in this process would lose it if it were opened here.
    if (HELD.contains(file)) {
      return true;
    }
    try (FileChannel channel = OwnFile.open(file, StandardOpenOption.WRITE)) {
      return !tryLock(channel);
    } catch (NoSuchFileException e) {
      return false;
    }
  }

  private static Path file(Path parent, Path output) throws IOException {
    return parent.toRealPath().resolve("." + output.getFileName() + ".whence-transfer.lock");
  }

  private static BusyException busy(Path output, Path file) {
    return new BusyException(
        "another transfer to " + output + " is running (it holds " + file + ")");
  }

  private static boolean tryLock(FileChannel channel) throws IOException {
    try {
      return channel.tryLock() != null;
    } catch (OverlappingFileLockException e) {
      return false;
    }
  }

  /** Gives the locked file a size that no other has by chance, and looks by name. */
  private static boolean isStill(Path file, FileChannel channel) throws IOException {
    try {
      for (int look = 0; look < LOOKS; look++) {
        int size = 1 + ThreadLocalRandom.current().nextInt(LARGEST_MARK);
        channel.truncate(0);
        channel.write(ByteBuffer.wrap(new byte[] {1}), size - 1L);
        if (Files.size(file) != size) {
          return false;
        }
      }
      return true;
    } catch (NoSuchFileException e) {
      return false;
    }
  }

  /** Removes the file while the lock is still held: who opened it meanwhile looks by name. */
  @Override
  public void close() throws IOException {
    try {
      Files.deleteIfExists(file);
      channel.close();
    } finally {
      HELD.remove(file);
    }
  }
}
