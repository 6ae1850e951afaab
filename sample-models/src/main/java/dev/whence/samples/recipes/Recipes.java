package dev.whence.samples.recipes;

import java.util.List;
import java.util.Optional;

/** The recipes of the sample models. */
public final class Recipes {
  /** Seed of world v1. */
  static final long WORLD_SEED = 1;

  /** All of them, each after the one that it goes on from. */
  public static final List<Recipe> ALL = List.of();

  private Recipes() {}

  /** The recipe of a name. */
  public static Optional<Recipe> named(String name) {
    return ALL.stream().filter(recipe -> recipe.name().equals(name)).findFirst();
  }
}
