package dev.whence.attribution.source;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;

/**
 * Okapi BM25 (Robertson, Walker, 1994; k1 = 1.2, b = 0.75) of sources against question and response
 * as the query: what a search engine would point at.
 */
public final class Bm25 {
  private static final double K1 = 1.2;
  private static final double B = 0.75;

  private Bm25() {}

  /** A score per source, at least 0. */
  public static double[] scores(List<String> sources, String query) {
    Map<String, Integer> having = new HashMap<>();
    forEachWord(query, word -> having.put(word, 0));
    List<Counts> counts = sources.stream().map(text -> Counts.of(text, having.keySet())).toList();
    double mean = 0;
    for (Counts source : counts) {
      mean += (double) source.words() / counts.size();
      source.asked().keySet().forEach(term -> having.merge(term, 1, Integer::sum));
    }
    double[] scores = new double[sources.size()];
    for (int i = 0; i < scores.length; i++) {
      double norm = K1 * (1 - B + B * counts.get(i).words() / Math.max(1e-9, mean));
      for (Map.Entry<String, Integer> term : counts.get(i).asked().entrySet()) {
        int documents = having.getOrDefault(term.getKey(), 0);
        double idf = Math.log(1 + (sources.size() - documents + 0.5) / (documents + 0.5));
        double tf = term.getValue();
        scores[i] += idf * tf * (K1 + 1) / (tf + norm);
      }
    }
    return scores;
  }

  /**
   * The words of a source.
   *
   * @param words how many, however often
   * @param asked how often each of the query's stands in it
   */
  private record Counts(int words, Map<String, Integer> asked) {
    static Counts of(String text, Set<String> terms) {
      Map<String, Integer> asked = new TreeMap<>(); // sums do not depend on an order of hashes
      int[] all = {0};
      forEachWord(
          text,
          word -> {
            all[0]++;
            if (terms.contains(word)) {
              asked.merge(word, 1, Integer::sum);
            }
          });
      return new Counts(all[0], asked);
    }
  }

  private static void forEachWord(String text, Consumer<String> each) {
    for (Words words = new Words(text); words.next(); ) {
      each.accept(words.text());
    }
  }
}
