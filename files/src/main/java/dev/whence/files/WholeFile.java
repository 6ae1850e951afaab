package dev.whence.files;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.UUID;

/** A small file that is there whole or not at all, whatever is cut off: a process or the power. */
public final class WholeFile {
  /** How the name ends under which it grows, after one of its own: there may be several writers. */
  public static final String WRITING = ".writing";

  private WholeFile() {}

  /**
   * Writes a file, or writes over it.
   *
   * @throws IOException if it can not be written; what was there stays
   */
  public static void write(Path file, byte[] bytes) throws IOException {
    // A temporary file of the JDK's could be read by its owner only.
    Path beside = file.resolveSibling(file.getFileName() + "-" + UUID.randomUUID() + WRITING);
    try {
      try (FileChannel channel =
          FileChannel.open(beside, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
        ByteBuffer left = ByteBuffer.wrap(bytes);
        while (left.hasRemaining()) {
          channel.write(left);
        }
        channel.force(true); // else the new name may survive without what it names
      }
      Files.move(beside, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(beside);
    }
  }
}
