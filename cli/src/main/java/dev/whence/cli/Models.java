package dev.whence.cli;

import dev.whence.engine.weights.ModelFiles;
import dev.whence.runtime.models.ModelLocation;
import dev.whence.samples.BundledModels;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.TypeConversionException;

/**
 * Models by name: paths, what ships with Whence, and what the Hugging Face libraries keep of what
 * they downloaded, by their own environment variables.
 */
final class Models {
  private Models() {}

  /** A path of an option, {@code s3://bucket/key} among them. */
  static Path path(String text) {
    try {
      return ModelLocation.path(text);
    } catch (IllegalArgumentException e) {
      throw new TypeConversionException(String.valueOf(e.getMessage()));
    }
  }

  /** What ships under a name. */
  static Optional<Path> bundled(String name) {
    if (!BundledModels.has(name)) {
      return Optional.empty();
    }
    try {
      return Optional.of(BundledModels.unpack(name));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** A path as it is, a bundled model's name, or a name found in one of the caches. */
  static Path resolve(String model) {
    if (model.startsWith("s3://")) {
      try {
        return ModelLocation.path(model);
      } catch (IllegalArgumentException e) {
        throw new UsageException(String.valueOf(e.getMessage()));
      }
    }
    Optional<Path> bundled = Files.exists(Path.of(model)) ? Optional.empty() : bundled(model);
    if (bundled.isPresent()) {
      return bundled.get();
    }
    List<Path> caches = new ArrayList<>();
    String cache = System.getenv("HF_HUB_CACHE");
    if (cache != null && !cache.isBlank()) {
      caches.add(Path.of(cache));
    }
    String home = System.getenv("HF_HOME");
    if (home != null && !home.isBlank()) {
      caches.add(Path.of(home, "hub"));
    }
    caches.add(Path.of(System.getProperty("user.home"), ".cache", "huggingface", "hub"));
    return ModelFiles.resolve(model, caches.toArray(Path[]::new));
  }
}
