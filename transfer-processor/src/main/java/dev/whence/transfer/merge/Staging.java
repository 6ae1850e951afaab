package dev.whence.transfer.merge;

import dev.whence.files.FileTree;
import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Objects;
import java.util.Set;

/**
 * The place where a result grows, beside where it is to be: {@code .NAME.whence-transfer} with the
 * journal and the directory that is renamed in the end. A lock of the operating system, which dies
 * with its process, keeps other writers out.
 */
final class Staging implements AutoCloseable {
  private final Path output;
  private final Path directory;
  private final OutputLock lock;

  private Staging(Path output, Path directory, OutputLock lock) {
    this.output = output;
    this.directory = directory;
    this.lock = lock;
  }

  /**
   * Locks the place of an output.
   *
   * @throws BusyException if somebody else writes there
   */
  static Staging lock(Path output) throws IOException {
    Path directory = directory(output);
    if (Files.isSymbolicLink(directory)) {
      throw new TransferException(directory + " is a link, in which no result may grow: remove it");
    }
    OutputLock lock = OutputLock.of(output);
    return new Staging(output.toAbsolutePath().normalize(), directory, lock);
  }

  /** Where a result grows. */
  static Path directory(Path output) {
    Path absolute = output.toAbsolutePath().normalize();
    return absolute.resolveSibling("." + absolute.getFileName() + ".whence-transfer");
  }

  /** Where the result will be. */
  Path output() {
    return output;
  }

  Path journal() {
    return journal(directory);
  }

  static Path journal(Path directory) {
    return directory.resolve("journal");
  }

  /** What the transfer was asked for, so that it can be resumed by its output alone. */
  Path request() {
    return request(directory);
  }

  static Path request(Path directory) {
    return directory.resolve("request.json");
  }

  /** The directory that becomes the output. */
  Path result() {
    return directory.resolve("result");
  }

  /** Bytes of the directory of a result that grows. */
  static long bytes(Path directory) throws IOException {
    if (!Files.exists(directory)) {
      return 0;
    }
    try (var all = Files.walk(directory)) {
      return all.filter(Files::isRegularFile).mapToLong(path -> path.toFile().length()).sum();
    }
  }

  void create() throws IOException {
    Files.createDirectories(result());
  }

  /**
   * Removes files from the result that are not its own. An earlier run of the same plan may have
   * begun others: the target can have come to lie in other shards since, its digest the same.
   */
  void keepOnly(Set<Path> own) throws IOException {
    try (var all = Files.walk(result())) {
      for (Path path : all.filter(one -> !Files.isDirectory(one)).toList()) {
        if (!own.contains(path)) {
          Files.delete(path);
        }
      }
    }
  }

  /** Makes the result visible under its name, whole. */
  void publish(boolean durable) throws IOException {
    if (durable) {
      forceDirectories(result());
    }
    try {
      if (Files.isDirectory(output)) {
        Files.delete(output); // only an empty one goes
      }
      Files.move(result(), output, StandardCopyOption.ATOMIC_MOVE);
    } catch (AtomicMoveNotSupportedException e) {
      throw new TransferException(output + " can not be published by a rename", e);
    }
    if (durable) {
      Directories.force(Objects.requireNonNull(output.getParent()));
    }
  }

  /** Removes what is not published. */
  void discard() throws IOException {
    FileTree.delete(directory);
  }

  private static void forceDirectories(Path root) throws IOException {
    try (var all = Files.walk(root)) {
      for (Path path : all.filter(Files::isDirectory).toList()) {
        Directories.force(path);
      }
    }
  }

  @Override
  public void close() throws IOException {
    lock.close();
  }
}
