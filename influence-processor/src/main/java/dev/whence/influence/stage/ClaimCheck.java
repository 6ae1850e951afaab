package dev.whence.influence.stage;

import dev.whence.files.Sha256;
import dev.whence.files.WholeFile;
import dev.whence.runtime.worker.EnvironmentException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * What is too large for a record lies in a directory that writer and readers share, in a file that
 * is named by the SHA-256 of its content. Files are kept as long as the records that name them.
 */
final class ClaimCheck {
  private static final Duration KEPT = Duration.ofDays(1);
  private static final Duration SWEEP_EVERY = Duration.ofHours(1);
  private static final String SUFFIX = ".sketch";

  private final Path directory;
  private Instant swept = Instant.EPOCH;

  ClaimCheck(Path directory) {
    this.directory = directory;
  }

  /**
   * Keeps bytes.
   *
   * @return the name to claim them by
   * @throws EnvironmentException if they could not be written
   */
  synchronized String put(byte[] bytes) {
    String digest = Sha256.of(bytes);
    try {
      Files.createDirectories(directory);
      sweep();
      WholeFile.write(directory.resolve(digest + SUFFIX), bytes);
      return digest;
    } catch (IOException e) {
      throw new EnvironmentException(
          "claim-check.dir, "
              + directory
              + ", can not be written ("
              + e.getClass().getSimpleName()
              + ")",
          e);
    }
  }

  /**
   * What {@link #put} kept; empty if there is no such file or its content is another one's.
   *
   * @throws EnvironmentException if it could not be read, or the directory is not there
   */
  Optional<byte[]> get(String digest) {
    if (!digest.matches("[0-9a-f]{64}")) {
      return Optional.empty();
    }
    try {
      byte[] bytes = Files.readAllBytes(directory.resolve(digest + SUFFIX));
      return Sha256.of(bytes).equals(digest) ? Optional.of(bytes) : Optional.empty();
    } catch (NoSuchFileException e) {
      if (!Files.isDirectory(directory)) {
        throw new EnvironmentException("claim-check.dir, " + directory + ", is not there", e);
      }
      return Optional.empty();
    } catch (IOException e) {
      throw new EnvironmentException(
          "claim-check.dir, "
              + directory
              + ", can not be read ("
              + e.getClass().getSimpleName()
              + ")",
          e);
    }
  }

  private void sweep() throws IOException {
    Instant now = Instant.now();
    if (now.isBefore(swept.plus(SWEEP_EVERY))) {
      return;
    }
    swept = now;
    FileTime oldest = FileTime.from(now.minus(KEPT));
    List<Path> files;
    try (Stream<Path> entries = Files.list(directory)) {
      files = entries.filter(ClaimCheck::isOurs).toList();
    }
    for (Path file : files) {
      try {
        if (Files.getLastModifiedTime(file).compareTo(oldest) < 0) {
          Files.deleteIfExists(file);
        }
      } catch (NoSuchFileException e) {
        // another process sweeps, too, or has just finished writing it
      }
    }
  }

  private static boolean isOurs(Path file) {
    return file.toString().endsWith(SUFFIX) || file.toString().endsWith(WholeFile.WRITING);
  }
}
