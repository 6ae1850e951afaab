package dev.whence.cli;

import java.nio.file.Files;
import java.nio.file.Path;

/** Checks an input file before anything expensive is started for it. */
final class InputFile {
  private InputFile() {}

  /** As {@link #check(String, Path)} for {@code --input}. */
  static void check(Path file) {
    check("--input", file);
  }

  /**
   * For what is read more than once.
   *
   * @param option by which the file was named
   */
  static void check(String option, Path file) {
    if (!Files.isRegularFile(file)) {
      throw new UsageException(option + " '" + file + "' is not a file");
    }
    checkReadable(option, file);
  }

  /**
   * For what is read once from its beginning to its end, which may be a pipe or a device.
   *
   * @param option by which the file was named
   */
  static void checkStream(String option, Path file) {
    if (!Files.exists(file) || Files.isDirectory(file)) {
      throw new UsageException(option + " '" + file + "' is not a file");
    }
    checkReadable(option, file);
  }

  /** A file that is there and can not be read nevertheless. */
  static UsageException unreadable(String option, Path file, String why) {
    return new UsageException(option + " '" + file + "' can not be read: " + why);
  }

  private static void checkReadable(String option, Path file) {
    if (!Files.isReadable(file)) {
      throw new UsageException(option + " '" + file + "' may not be read");
    }
  }
}
