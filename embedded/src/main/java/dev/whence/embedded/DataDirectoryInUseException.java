package dev.whence.embedded;

import java.io.IOException;
import java.nio.file.Path;

/** A data directory is locked by another process, or by another owner in this one. */
public final class DataDirectoryInUseException extends IOException {
  private static final long serialVersionUID = 1L;

  DataDirectoryInUseException(Path directory) {
    super(
        "the data directory "
            + directory
            + " is in use by another process; stop that one or choose another directory");
  }
}
