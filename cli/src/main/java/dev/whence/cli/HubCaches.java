package dev.whence.cli;

import dev.whence.engine.weights.ModelFiles;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Where the Hugging Face libraries keep what they downloaded, by their own environment variables.
 */
final class HubCaches {
  private HubCaches() {}

  /** A path as it is, or a model name found in one of the caches. */
  static Path resolve(String model) {
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
