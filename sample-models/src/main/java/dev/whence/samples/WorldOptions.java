package dev.whence.samples;

import java.util.List;

/**
 * The numbers of a world that models are trained on.
 *
 * @param sizes entities of each type
 * @param aliasShare share of the persons that have an alias
 * @param heldOutShare share of the facts that no document states
 * @param documentCounts in how many distinct documents a fact is stated: equal shares of the facts
 *     that are not held out
 * @param askedShare share of the facts that fine-tuning may ask without a context
 * @param changedShare share of the facts that have another object in the changed world
 * @param newShare new entities of the changed world, as a share of those of each type
 */
public record WorldOptions(
    Sizes sizes,
    double aliasShare,
    double heldOutShare,
    List<Integer> documentCounts,
    double askedShare,
    double changedShare,
    double newShare) {
  public WorldOptions {
    documentCounts = List.copyOf(documentCounts);
    if (documentCounts.isEmpty() || documentCounts.stream().anyMatch(count -> count < 1)) {
      throw new IllegalArgumentException(
          "documentCounts must be numbers from 1 on, not " + documentCounts);
    }
    for (double share : List.of(aliasShare, heldOutShare, askedShare, changedShare, newShare)) {
      if (!(share >= 0 && share <= 1)) {
        throw new IllegalArgumentException("a share is from 0 to 1, not " + share);
      }
    }
  }

  /** 120 persons, 40 companies, 30 towns, 30 rivers: 810 facts. */
  public static WorldOptions standard() {
    return new WorldOptions(
        new Sizes(120, 40, 30, 30), 0.15, 0.1, List.of(1, 3, 10, 20, 40), 0.5, 0.15, 0.2);
  }
}
