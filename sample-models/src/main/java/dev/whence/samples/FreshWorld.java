package dev.whence.samples;

/**
 * The numbers of a throw-away world.
 *
 * @param sizes entities of each type
 * @param split which names it has
 * @param aliasShare share of the persons that have an alias; at least one has
 * @param relations how many relations it has, drawn of all; 0 for all
 * @param distinctObjects whether no two subjects have the same object in a relation, as far as
 *     there are words
 * @param outsideShare share of the objects, where objects are entities, that are names of their own
 *     rather than entities with facts
 */
public record FreshWorld(
    Sizes sizes,
    NameSplit split,
    double aliasShare,
    int relations,
    boolean distinctObjects,
    double outsideShare) {
  public FreshWorld {
    if (!(aliasShare >= 0 && aliasShare <= 1 && outsideShare >= 0 && outsideShare <= 1)) {
      throw new IllegalArgumentException(
          "a share is from 0 to 1, not " + aliasShare + " or " + outsideShare);
    }
  }
}
