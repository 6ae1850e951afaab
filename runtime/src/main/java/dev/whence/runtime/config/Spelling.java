package dev.whence.runtime.config;

import java.util.Collection;
import java.util.Optional;

/** What a word may have meant that nobody knows. */
final class Spelling {
  private Spelling() {}

  /**
   * The known word that is nearest, if it is no further than a quarter of the word's length.
   *
   * @param mostEdits by which it may differ at all: characters added, left out or exchanged
   */
  static Optional<String> nearest(String word, Collection<String> known, int mostEdits) {
    Optional<String> nearest = Optional.empty();
    int least = 1 + Math.min(mostEdits, word.length() / 4);
    for (String one : known) {
      if (Math.abs(word.length() - one.length()) < least) {
        int distance = distance(word, one);
        if (distance < least) {
          least = distance;
          nearest = Optional.of(one);
        }
      }
    }
    return nearest;
  }

  /** Levenshtein distance. */
  private static int distance(String a, String b) {
    int[] row = new int[b.length() + 1];
    for (int j = 0; j <= b.length(); j++) {
      row[j] = j;
    }
    for (int i = 1; i <= a.length(); i++) {
      int diagonal = row[0];
      row[0] = i;
      for (int j = 1; j <= b.length(); j++) {
        int substitute = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
        diagonal = row[j];
        row[j] = Math.min(substitute, 1 + Math.min(row[j], row[j - 1]));
      }
    }
    return row[b.length()];
  }
}
