package dev.whence.transfer.merge;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Objects;

/** A rename that is seen whole or not at all, also after a power cut. */
public final class DurableMove {
  private DurableMove() {}

  /** Renames a directory within a file system. */
  public static void move(Path from, Path to) throws IOException {
    Path parent = Objects.requireNonNull(to.toAbsolutePath().normalize().getParent());
    Files.createDirectories(parent);
    Files.move(from, to, StandardCopyOption.ATOMIC_MOVE);
    Staging.force(parent);
  }
}
