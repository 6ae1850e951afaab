package dev.whence.engine;

/**
 * How often a trunk began like one that was run before, whose keys and values were still there.
 *
 * @param trunks run
 * @param hits trunks of which a part was taken over
 * @param tokens of all trunks
 * @param reused tokens that were not computed again
 */
public record TrunkReuse(long trunks, long hits, long tokens, long reused) {
  public static final TrunkReuse NONE = new TrunkReuse(0, 0, 0, 0);
}
