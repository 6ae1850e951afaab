package dev.whence.engine.kernel;

import java.util.List;
import java.util.Locale;

/**
 * One forward: own tokens of one or more branches (or a stretch of a trunk), and what is wanted of
 * them.
 *
 * @param tokens own token ids, branch after branch, length N
 * @param rotations positions to rotate queries by, one array of length N each; the first holds the
 *     tokens' own positions, which also rotate their keys
 * @param plan who attends to what, in every layer but the last
 * @param lastPlan the same for the wanted rows only, in the last layer
 * @param wanted rows whose next token is scored
 * @param targets the token scored at each wanted row
 */
@SuppressWarnings("ArrayRecordComponent") // handed to the kernel; compared nowhere
record Pack(
    long[] tokens,
    List<long[]> rotations,
    AttentionPlan plan,
    AttentionPlan lastPlan,
    long[] wanted,
    long[] targets) {

  int size() {
    return tokens.length;
  }

  /** What it is, for a message. */
  String sizes(long trunkTokens) {
    return String.format(
        Locale.ROOT,
        "a forward of %d tokens over a trunk of %d, %d of them scored",
        size(),
        trunkTokens,
        wanted.length);
  }

  /** All rotations one after another. */
  long[] positions() {
    long[] all = new long[tokens.length * rotations.size()];
    for (int r = 0; r < rotations.size(); r++) {
      System.arraycopy(rotations.get(r), 0, all, r * tokens.length, tokens.length);
    }
    return all;
  }

  /** Highest position that occurs. */
  long highestPosition() {
    long highest = 0;
    for (long[] rotation : rotations) {
      for (long position : rotation) {
        highest = Math.max(highest, position);
      }
    }
    return highest;
  }
}
