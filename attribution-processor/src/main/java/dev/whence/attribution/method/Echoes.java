package dev.whence.attribution.method;

import dev.whence.attribution.source.Words;
import dev.whence.attribution.tokens.TokenizedPrompt;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * Which tokens of the context a splice heals when a source is removed: those right after the cut,
 * and echoes, the ones that repeat words of the source further on.
 *
 * <p>What stands right after a cut was computed with the source next to it. Further on it is the
 * repetitions that were: where "Hebron" stands again, attention looks back to what followed it the
 * first time (induction heads, Olsson et al., 2022, arXiv 2209.11895), so the keys and values there
 * still hold what was removed, and a response that says "Hebron" reads it from them. Words are
 * compared without case, however they were tokenised. First come those that the response says too,
 * and rare ones: a token counts (1 + 2 if the response has its word) / times that the context has
 * the word.
 */
final class Echoes {
  /** Of no context. */
  static final Echoes NONE = of(new int[0], new int[0], "", "");

  private static final int SAID_TOO = 2;

  /** Of a longer run of letters only so many tokens count: it is no name. */
  private static final int MOST_TOKENS_OF_A_WORD = 64;

  /** However large w is: what is healed in pieces is masked piece by piece. */
  private static final int MOST_ECHOES = 256;

  /** Where words stand in tokens, in order: the token, and the word's number. */
  private final int[] tokenAt;

  private final int[] wordAt;

  /** Of each word: the tokens that it stands in, and what each of them counts. */
  private final int[][] placesOf;

  private final double[] weightOf;

  private Echoes(int[] tokenAt, int[] wordAt, int[][] placesOf, double[] weightOf) {
    this.tokenAt = tokenAt;
    this.wordAt = wordAt;
    this.placesOf = placesOf;
    this.weightOf = weightOf;
  }

  /**
   * Reads the words of a context.
   *
   * @param starts of the context's tokens in the prompt's text
   * @param ends of them
   * @param prompt text
   * @param said what is scored: the response, and the reasoning before it
   */
  static Echoes of(int[] starts, int[] ends, String prompt, String said) {
    int tokens = starts.length;
    Map<String, Integer> numbers = new HashMap<>();
    List<IntStream.Builder> places = new ArrayList<>();
    List<Integer> times = new ArrayList<>();
    LongStream.Builder pairs = LongStream.builder();
    int next = 0;
    int end = tokens == 0 ? 0 : ends[tokens - 1];
    for (Words words = new Words(prompt); words.next() && words.start() < end; ) {
      while (next < tokens && ends[next] <= words.start()) {
        next++;
      }
      int word = numbers.computeIfAbsent(words.text(), text -> numbers.size());
      if (word == places.size()) {
        places.add(IntStream.builder());
        times.add(0);
      }
      times.set(word, times.get(word) + 1);
      int most = Math.min(tokens, next + MOST_TOKENS_OF_A_WORD);
      for (int t = next; t < most && starts[t] < words.end(); t++) {
        pairs.add(((long) t << Integer.SIZE) | word);
        places.get(word).add(t);
      }
    }
    BitSet saidToo = new BitSet();
    for (Words words = new Words(said); words.next(); ) {
      Integer word = numbers.get(words.text());
      if (word != null) {
        saidToo.set(word);
      }
    }
    int[][] placesOf = new int[places.size()][];
    double[] weightOf = new double[places.size()];
    for (int word = 0; word < placesOf.length; word++) {
      placesOf[word] = places.get(word).build().sorted().distinct().toArray();
      weightOf[word] = (saidToo.get(word) ? 1.0 + SAID_TOO : 1.0) / times.get(word);
    }
    // Tokens of one character have one range, so words may take turns in them.
    long[] sorted = pairs.build().sorted().toArray();
    return new Echoes(
        LongStream.of(sorted).mapToInt(pair -> (int) (pair >>> Integer.SIZE)).toArray(),
        LongStream.of(sorted).mapToInt(pair -> (int) pair).toArray(),
        placesOf,
        weightOf);
  }

  /**
   * The tokens to heal: half of them right after the cut, the others echoes, 256 at most; where
   * there are fewer, more after the cut.
   *
   * @param from first token of the context that the cut changes
   * @param to the first one after the cut
   * @param end one past the last that may be healed, at most the context's length
   * @param most w, how many
   * @return sorted, w of them or all that there are
   */
  int[] healed(int from, int to, int end, int most) {
    if (most >= end - to) {
      return IntStream.range(to, end).toArray();
    }
    BitSet healed = new BitSet();
    int left = Math.min(most / 2, MOST_ECHOES);
    int near = to + most - left;
    healed.set(to, near);
    for (int word : echoed(from, to, near, end)) {
      int[] places = placesOf[word];
      for (int i = TokenizedPrompt.firstAtOrAfter(places, near);
          i < places.length && places[i] < end;
          i++) {
        if (left == 0) {
          return healed.stream().toArray();
        }
        if (!healed.get(places[i])) {
          healed.set(places[i]);
          left--;
        }
      }
    }
    for (int t = near; left > 0; t++) {
      if (!healed.get(t)) {
        healed.set(t);
        left--;
      }
    }
    return healed.stream().toArray();
  }

  /** Words of tokens [from, to) that stand in [near, end), too: weightiest first, then nearest. */
  private List<Integer> echoed(int from, int to, int near, int end) {
    Map<Integer, Integer> firstOf = new HashMap<>();
    int last = TokenizedPrompt.firstAtOrAfter(tokenAt, to);
    for (int at = TokenizedPrompt.firstAtOrAfter(tokenAt, from); at < last; at++) {
      int word = wordAt[at];
      if (!firstOf.containsKey(word)) {
        int[] places = placesOf[word];
        int first = TokenizedPrompt.firstAtOrAfter(places, near);
        if (first < places.length && places[first] < end) {
          firstOf.put(word, places[first]);
        }
      }
    }
    List<Integer> words = new ArrayList<>(firstOf.keySet());
    words.sort(
        Comparator.comparingDouble((Integer word) -> -weightOf[word]).thenComparing(firstOf::get));
    return words;
  }
}
