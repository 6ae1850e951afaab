package dev.whence.cli;

import java.nio.file.Files;
import java.nio.file.Path;

/** Checks an input file before anything expensive is started for it. */
final class InputFile {
  private InputFile() {}

  static void check(Path file) {
    if (!Files.isRegularFile(file)) {
      throw new UsageException("--input '" + file + "' is not a file");
    }
    if (!Files.isReadable(file)) {
      throw new UsageException("--input '" + file + "' may not be read");
    }
  }
}
