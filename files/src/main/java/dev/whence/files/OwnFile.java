package dev.whence.files;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Files with names that a program chooses by itself: locks, and what grows beside the file that
 * somebody named. In a directory that others can write to, a link may lie in their place, and what
 * is written through it is written into a file of somebody else.
 */
public final class OwnFile {
  private OwnFile() {}

  /** A link lies where a file of our own is to be. */
  public static final class LinkException extends FileSystemException {
    private static final long serialVersionUID = 1L;

    LinkException(Path file, IOException cause) {
      super(file.toString());
      initCause(cause);
    }
  }

  /**
   * Opens a file.
   *
   * @throws LinkException if a link is in its place
   * @throws IOException if it can not be opened for another reason
   */
  public static FileChannel open(Path file, OpenOption... options) throws IOException {
    Set<OpenOption> all = new HashSet<>(List.of(options));
    all.add(LinkOption.NOFOLLOW_LINKS);
    try {
      return FileChannel.open(file, all);
    } catch (IOException e) {
      throw Files.isSymbolicLink(file) ? new LinkException(file, e) : e;
    }
  }

  /** Opens a file that is written anew, whatever it held. */
  public static FileChannel begin(Path file) throws IOException {
    return open(
        file,
        StandardOpenOption.CREATE,
        StandardOpenOption.TRUNCATE_EXISTING,
        StandardOpenOption.WRITE);
  }

  /** Writes a file anew. */
  public static void write(Path file, byte[] content) throws IOException {
    try (FileChannel channel = begin(file)) {
      ByteBuffer left = ByteBuffer.wrap(content);
      while (left.hasRemaining()) {
        channel.write(left);
      }
    }
  }
}
