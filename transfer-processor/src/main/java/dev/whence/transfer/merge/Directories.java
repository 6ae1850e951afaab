package dev.whence.transfer.merge;

import dev.whence.files.FileProblem;
import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Objects;
import java.util.Optional;

/** What happens to whole directories of a transfer. */
public final class Directories {
  private Directories() {}

  /** Renames a directory within a file system: seen whole or not at all, also after a power cut. */
  public static void move(Path from, Path to) throws IOException {
    Path parent = Objects.requireNonNull(to.toAbsolutePath().normalize().getParent());
    Files.createDirectories(parent);
    Files.move(from, to, StandardCopyOption.ATOMIC_MOVE);
    force(parent);
  }

  /**
   * Whether a directory is at a path.
   *
   * @throws TransferException if a store does not answer: that does not say that nothing is there
   */
  public static boolean isDirectory(Path path) {
    return find(path).map(BasicFileAttributes::isDirectory).orElse(false);
  }

  /**
   * What is at a path, if something is.
   *
   * @throws TransferException if a store does not answer: that does not say that nothing is there
   */
  static Optional<BasicFileAttributes> find(Path path) {
    try {
      return Optional.of(Files.readAttributes(path, BasicFileAttributes.class));
    } catch (IOException e) {
      if (TransferException.isOfEnvironment(e)) {
        throw new TransferException(path + " can not be read (" + FileProblem.of(e, path) + ")", e);
      }
      return Optional.empty();
    }
  }

  /** Makes what a directory lists survive a power cut. */
  static void force(Path directory) throws IOException {
    try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
      channel.force(true);
    }
  }
}
