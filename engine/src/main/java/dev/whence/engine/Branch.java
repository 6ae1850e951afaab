package dev.whence.engine;

import java.util.List;

/**
 * Another reading of a trunk: which trunk ranges it sees, its own tokens with their positions, and
 * which of them are scored.
 *
 * <p>One rule of sight: an own token at position p sees a viewed trunk token k iff k - shift < p,
 * and an earlier own token iff its position is smaller (and itself). The log-probability of own
 * token j is read from the row of own token j - 1, so {@code scoredFrom} is at least 1.
 *
 * @param views disjoint trunk ranges, in order
 * @param tokens own token ids
 * @param positions position of each own token, strictly increasing
 * @param scoredFrom index of the first own token whose log-probability is wanted; all after it are
 *     scored too
 */
@SuppressWarnings("ArrayRecordComponent") // token ids; compared nowhere
public record Branch(List<View> views, int[] tokens, int[] positions, int scoredFrom) {
  public Branch {
    views = List.copyOf(views);
    if (tokens.length != positions.length) {
      throw new IllegalArgumentException(
          tokens.length + " tokens but " + positions.length + " positions");
    }
    if (scoredFrom < 1 || scoredFrom > tokens.length) {
      throw new IllegalArgumentException(
          "scoredFrom " + scoredFrom + " is not in [1, " + tokens.length + "]");
    }
    for (int i = 0; i < positions.length; i++) {
      if (positions[i] < 0 || (i > 0 && positions[i] <= positions[i - 1])) {
        throw new IllegalArgumentException("positions are not strictly increasing at " + i);
      }
    }
    int seen = 0;
    for (View view : views) {
      if (view.from() < seen) {
        throw new IllegalArgumentException("views overlap or are unsorted at " + view);
      }
      seen = view.to();
    }
  }

  /** How many log-probabilities it yields. */
  public int scored() {
    return tokens.length - scoredFrom;
  }
}
