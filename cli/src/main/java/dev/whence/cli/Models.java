package dev.whence.cli;

import dev.whence.engine.weights.NamedModels;
import dev.whence.runtime.models.ModelLocation;
import dev.whence.samples.BundledModels;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileSystems;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * Models by name: paths, what ships with Whence, and what the Hugging Face libraries keep of what
 * they downloaded, by their own environment variables.
 */
final class Models {
  private Models() {}

  /** A path of an option that takes {@code s3://bucket/key}, too. */
  static final class PathOrBucket implements ITypeConverter<Path> {
    @Override
    public Path convert(String text) {
      if (text.isBlank()) {
        throw new TypeConversionException("the path is empty");
      }
      try {
        return ModelLocation.path(text);
      } catch (IllegalArgumentException e) {
        throw new TypeConversionException(String.valueOf(e.getMessage()));
      }
    }
  }

  /** A path of any other option: what reads or writes it does so on this machine. */
  static Path localPath(String text) {
    Path path = new PathOrBucket().convert(text);
    if (!path.getFileSystem().equals(FileSystems.getDefault())) {
      throw new TypeConversionException(
          "'" + text + "' does not lie on this machine, and this option takes no bucket");
    }
    return path;
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
    if (model.isBlank()) {
      throw new UsageException("the name of a model is empty");
    }
    if (model.startsWith("s3://")) {
      try {
        return ModelLocation.path(model);
      } catch (IllegalArgumentException e) {
        throw new UsageException(String.valueOf(e.getMessage()));
      }
    }
    Map<String, String> environment = new HashMap<>(System.getenv());
    environment.putIfAbsent("HOME", System.getProperty("user.home"));
    return new NamedModels(Models::bundled, environment).resolve(model);
  }
}
