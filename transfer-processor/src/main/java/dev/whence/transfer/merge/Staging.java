package dev.whence.transfer.merge;

import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Arrays;
import java.util.Objects;
import java.util.UUID;

/**
 * The place where a result grows, beside where it is to be: {@code .NAME.whence-transfer} with the
 * journal and the directory that is renamed in the end. A lock of the operating system, which dies
 * with its process, keeps other writers out.
 */
final class Staging implements AutoCloseable {
  private final Path output;
  private final Path directory;
  private final Path lockFile;
  private final FileChannel lockChannel;

  private Staging(Path output, Path directory, Path lockFile, FileChannel lockChannel) {
    this.output = output;
    this.directory = directory;
    this.lockFile = lockFile;
    this.lockChannel = lockChannel;
  }

  /**
   * Locks the place of an output.
   *
   * @throws BusyException if another process writes there
   */
  static Staging lock(Path output) throws IOException {
    Path absolute = output.toAbsolutePath().normalize();
    Path parent = absolute.getParent();
    if (parent == null) {
      throw new TransferException(output + " can not be an output: it has no parent directory");
    }
    Files.createDirectories(parent);
    Path directory = parent.resolve("." + absolute.getFileName() + ".whence-transfer");
    Path lockFile = parent.resolve("." + absolute.getFileName() + ".whence-transfer.lock");
    while (true) {
      FileChannel channel =
          FileChannel.open(lockFile, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
      if (!tryLock(channel)) {
        channel.close();
        throw new BusyException(
            "another transfer to " + output + " is running (it holds " + lockFile + ")");
      }
      // Whoever held the lock before may have removed the file that was opened here.
      if (isStill(lockFile, channel)) {
        return new Staging(absolute, directory, lockFile, channel);
      }
      channel.close();
    }
  }

  private static boolean tryLock(FileChannel channel) throws IOException {
    try {
      FileLock lock = channel.tryLock();
      return lock != null;
    } catch (OverlappingFileLockException e) {
      return false;
    }
  }

  private static boolean isStill(Path lockFile, FileChannel channel) throws IOException {
    byte[] mark = UUID.randomUUID().toString().getBytes(StandardCharsets.US_ASCII);
    channel.truncate(0);
    channel.write(ByteBuffer.wrap(mark), 0);
    try {
      return Arrays.equals(mark, Files.readAllBytes(lockFile));
    } catch (NoSuchFileException e) {
      return false;
    }
  }

  /** Where the result will be. */
  Path output() {
    return output;
  }

  Path journal() {
    return directory.resolve("journal");
  }

  /** What the transfer was asked for, so that it can be resumed by its output alone. */
  Path request() {
    return directory.resolve("request.json");
  }

  /** The directory that becomes the output. */
  Path result() {
    return directory.resolve("result");
  }

  boolean exists() {
    return Files.exists(directory);
  }

  void create() throws IOException {
    Files.createDirectories(result());
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
      force(Objects.requireNonNull(output.getParent()));
    }
  }

  /** Removes what is not published. */
  void discard() throws IOException {
    delete(directory);
  }

  static void delete(Path directory) throws IOException {
    if (!Files.exists(directory)) {
      return;
    }
    Files.walkFileTree(
        directory,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
              throws IOException {
            Files.delete(file);
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult postVisitDirectory(
              Path visited, @org.jspecify.annotations.Nullable IOException problem)
              throws IOException {
            if (problem != null) {
              throw problem;
            }
            Files.delete(visited);
            return FileVisitResult.CONTINUE;
          }
        });
  }

  private static void forceDirectories(Path root) throws IOException {
    try (var all = Files.walk(root)) {
      for (Path path : all.filter(Files::isDirectory).toList()) {
        force(path);
      }
    }
  }

  private static void force(Path directory) throws IOException {
    try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
      channel.force(true);
    }
  }

  @Override
  public void close() throws IOException {
    if (!exists()) {
      Files.deleteIfExists(lockFile);
    }
    lockChannel.close();
  }
}
