package dev.whence.transfer.merge;

import java.util.Arrays;

/**
 * Which rows of the three models belong together, by token string.
 *
 * @param target row of the target for each row of the result, or {@link #NONE}: an appended token
 * @param base row of the base, or {@link #NONE}: the token is not in it
 * @param fineTuned row of the fine-tuned model, or {@link #NONE}
 */
@SuppressWarnings("ArrayRecordComponent") // compared nowhere
record RowMap(int[] target, int[] base, int[] fineTuned) {
  static final int NONE = -1;

  int rows() {
    return target.length;
  }

  /** Rows that get a difference. */
  long merged() {
    return java.util.stream.IntStream.range(0, rows())
        .filter(row -> target[row] != NONE && base[row] != NONE && fineTuned[row] != NONE)
        .count();
  }

  /** Rows that the target does not have. */
  long appended() {
    return Arrays.stream(target).filter(row -> row == NONE).count();
  }
}
