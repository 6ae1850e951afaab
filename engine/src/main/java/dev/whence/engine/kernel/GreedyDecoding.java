package dev.whence.engine.kernel;

import java.util.Arrays;
import java.util.Set;

/** Greedy decoding: each step computes only the tokens that have no keys and values yet. */
public final class GreedyDecoding {
  private GreedyDecoding() {}

  /** See {@link dev.whence.engine.Generator#generate}. */
  public static int[] generate(
      Decoder decoder, int[] prompt, int maxNewTokens, Set<Integer> endTokens) {
    if (prompt.length == 0 || maxNewTokens < 0) {
      throw new IllegalArgumentException("an empty prompt, or a negative number of new tokens");
    }
    Sequence.check(decoder, prompt, (long) prompt.length + maxNewTokens);
    int[] tokens = Arrays.copyOf(prompt, prompt.length + maxNewTokens);
    int length = prompt.length;
    try (KeyValues room = decoder.room(tokens.length)) {
      int computed = 0;
      while (length < tokens.length) {
        int next = decoder.next(room, Arrays.copyOf(tokens, length), computed);
        computed = length;
        tokens[length++] = next;
        if (endTokens.contains(next)) {
          break;
        }
      }
    }
    return Arrays.copyOfRange(tokens, prompt.length, length);
  }
}
