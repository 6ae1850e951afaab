package dev.whence.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;

/** Checks a file that is written at the end, before anything expensive is started for it. */
final class OutputFile {
  private OutputFile() {}

  /**
   * @param option by which the file was named
   */
  static void checkWritable(String option, Path file) {
    Path parent = Objects.requireNonNull(file.toAbsolutePath().normalize().getParent());
    boolean writable =
        Files.exists(file)
            ? !Files.isDirectory(file) && Files.isWritable(file)
            : Files.isDirectory(parent) && Files.isWritable(parent);
    if (!writable) {
      throw new UsageException(
          option + " '" + file + "' can not be written: give a file in a directory that exists");
    }
  }
}
