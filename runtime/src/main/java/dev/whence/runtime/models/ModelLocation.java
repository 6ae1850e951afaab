package dev.whence.runtime.models;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * Where a model release says its files are. Whoever can write to the topic could otherwise make the
 * process read any file, so a location must lie under one of the configured roots, links followed.
 */
public final class ModelLocation {
  private ModelLocation() {}

  /**
   * Resolves a location.
   *
   * @param location a path, relative to a root or absolute, or a {@code file:} URI
   * @param roots the configured {@code models.roots}
   * @return the real path
   * @throws ModelLoadException if it does not lie under a root or does not exist
   */
  public static Path resolve(String location, List<Path> roots) throws ModelLoadException {
    if (roots.isEmpty()) {
      throw new ModelLoadException(
          "a model release names a location, but models.roots is not configured");
    }
    Path path = parse(location);
    for (Path root : roots) {
      Path candidate = root.resolve(path);
      if (!Files.exists(root) || !Files.exists(candidate)) {
        continue;
      }
      try {
        Path real = candidate.toRealPath();
        if (real.startsWith(root.toRealPath())) {
          return real;
        }
      } catch (IOException e) {
        throw new ModelLoadException(
            "the location of a model release can not be read ("
                + e.getClass().getSimpleName()
                + ")",
            e);
      }
    }
    throw new ModelLoadException(
        "the location of a model release, '"
            + location
            + "', is no existing file or directory under models.roots");
  }

  private static Path parse(String location) throws ModelLoadException {
    try {
      return location.startsWith("file:") ? Path.of(URI.create(location)) : Path.of(location);
    } catch (IllegalArgumentException e) {
      // InvalidPathException is one, too.
      throw new ModelLoadException("the location of a model release is not a path", e);
    }
  }
}
