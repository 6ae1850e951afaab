package dev.whence.influence.corpus;

import dev.whence.influence.InfluenceException;

/** How many tokens a forward may have: documents are packed up to it, one that is longer alone. */
public final class PackTokens {
  /** Far more than memory holds the activations of; a few packs of it are still a number. */
  public static final int MOST = 1 << 20;

  private PackTokens() {}

  /**
   * Refuses what is no number of tokens of a pack.
   *
   * @throws InfluenceException that says which are
   */
  public static void check(int packTokens) {
    if (packTokens < 1 || packTokens > MOST) {
      throw new InfluenceException(
          "packs of " + packTokens + " tokens: 1 to " + MOST + " are possible.");
    }
  }
}
