package dev.whence.transfer.merge;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;

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

  /** Removes a directory with all in it, if it is there; links are removed, not followed. */
  public static void delete(Path directory) throws IOException {
    if (!Files.exists(directory)) {
      return;
    }
    List<Path> deepestFirst;
    try (var files = Files.walk(directory)) {
      deepestFirst = files.sorted(Comparator.reverseOrder()).toList();
    }
    for (Path file : deepestFirst) {
      Files.delete(file);
    }
  }

  /** Makes what a directory lists survive a power cut. */
  static void force(Path directory) throws IOException {
    try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
      channel.force(true);
    }
  }
}
