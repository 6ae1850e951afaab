package dev.whence.samples;

/**
 * Somebody or something with a name.
 *
 * @param type what it is
 * @param name unique in its world, among names and aliases of all types
 * @param alias another name, as unique, or empty; only persons have one
 */
public record Entity(EntityType type, String name, String alias) {
  public boolean hasAlias() {
    return !alias.isEmpty();
  }
}
