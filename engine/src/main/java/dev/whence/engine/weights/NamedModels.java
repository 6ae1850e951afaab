package dev.whence.engine.weights;

import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * Models by what people call them: a path as it is, a name that the launcher knows, or a name in
 * one of the caches of the Hugging Face libraries, which are found by the libraries' own
 * environment variables ({@code HF_HUB_CACHE}, {@code HF_HOME}, else below {@code HOME}).
 */
public final class NamedModels {
  private final Function<String, Optional<Path>> known;
  private final List<Path> caches;

  /**
   * Names of a process.
   *
   * @param known models that its launcher knows by name
   * @param environment of the process
   */
  public NamedModels(Function<String, Optional<Path>> known, Map<String, String> environment) {
    this.known = known;
    this.caches =
        Stream.of(
                directory(environment, "HF_HUB_CACHE"),
                directory(environment, "HF_HOME", "hub"),
                directory(environment, "HOME", ".cache", "huggingface", "hub"))
            .flatMap(Optional::stream)
            .toList();
  }

  private static Optional<Path> directory(
      Map<String, String> environment, String variable, String... below) {
    return Optional.ofNullable(environment.get(variable))
        .filter(value -> !value.isBlank())
        .map(value -> Path.of(value, below));
  }

  /**
   * Finds a model.
   *
   * @param model a path, or a name with or without {@code @revision}
   * @throws dev.whence.engine.EngineException if it is none of what is known
   */
  public Path resolve(String model) {
    Optional<Path> found = exists(model) ? Optional.empty() : known.apply(model);
    return found.orElseGet(() -> HubCache.resolve(model, caches));
  }

  private static boolean exists(String model) {
    try {
      return !model.isEmpty() && Files.exists(Path.of(model));
    } catch (InvalidPathException e) {
      return false;
    }
  }
}
