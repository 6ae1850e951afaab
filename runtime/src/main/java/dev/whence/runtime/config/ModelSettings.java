package dev.whence.runtime.config;

import dev.whence.runtime.models.ModelLocation;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Where models may come from.
 *
 * @param roots directories under which the location of a model release must lie
 * @param reload how a new release takes over
 */
public record ModelSettings(List<Path> roots, Reload reload) {
  public ModelSettings {
    roots = List.copyOf(roots);
  }

  /** How a new release takes over from the old one. */
  public enum Reload {
    /** The new one is loaded beside the old one: a failed load changes nothing. */
    SWAP,
    /** The old one is closed first, for where only one fits into memory. */
    UNLOAD_FIRST
  }

  static ModelSettings read(Settings settings) {
    return new ModelSettings(
        roots(settings), settings.choice("models.reload", Reload.class, Reload.SWAP));
  }

  private static List<Path> roots(Settings settings) {
    List<Path> roots = new ArrayList<>();
    for (String root : settings.list("models.roots")) {
      try {
        roots.add(ModelLocation.path(root));
      } catch (IllegalArgumentException e) {
        settings.problem("models.roots: " + e.getMessage());
      }
    }
    return roots;
  }
}
