package dev.whence.benchmarks.fidelity;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;

/**
 * Okapi BM25 (Robertson, Walker, 1994; k1 = 1.2, b = 0.75) of sources against question and response
 * as the query: what a search engine would point at.
 */
public final class Bm25 {
  private static final Pattern WORD = Pattern.compile("[\\p{L}\\p{N}]+");
  private static final double K1 = 1.2;
  private static final double B = 0.75;

  private Bm25() {}

  /** A score per source, at least 0. */
  public static double[] scores(List<String> sources, String query) {
    List<Map<String, Integer>> counts = sources.stream().map(Bm25::counts).toList();
    double[] lengths =
        counts.stream()
            .mapToDouble(c -> c.values().stream().mapToInt(Integer::intValue).sum())
            .toArray();
    double mean = 0;
    for (double length : lengths) {
      mean += length / Math.max(1, lengths.length);
    }
    Set<String> terms = new HashSet<>(counts(query).keySet());
    double[] scores = new double[sources.size()];
    for (String term : terms) {
      long having = counts.stream().filter(c -> c.containsKey(term)).count();
      double idf = Math.log(1 + (sources.size() - having + 0.5) / (having + 0.5));
      for (int i = 0; i < scores.length; i++) {
        double tf = counts.get(i).getOrDefault(term, 0);
        double norm = K1 * (1 - B + B * lengths[i] / Math.max(1e-9, mean));
        scores[i] += idf * tf * (K1 + 1) / (tf + norm);
      }
    }
    return scores;
  }

  private static Map<String, Integer> counts(String text) {
    Map<String, Integer> counts = new HashMap<>();
    WORD.matcher(text.toLowerCase(Locale.ROOT))
        .results()
        .map(MatchResult::group)
        .forEach(word -> counts.merge(word, 1, Integer::sum));
    return counts;
  }
}
