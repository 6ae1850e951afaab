package dev.whence.samples;

import java.util.List;

/** What the object of a relation may be. */
public sealed interface Range {
  /** Entities of a type, in the world of the fact. */
  record Entities(EntityType type) implements Range {}

  /**
   * Words of a closed list, the same in every world.
   *
   * @param list its name
   * @param words in the order of world.json
   */
  record Words(String list, List<String> words) implements Range {
    public Words {
      words = List.copyOf(words);
    }
  }
}
