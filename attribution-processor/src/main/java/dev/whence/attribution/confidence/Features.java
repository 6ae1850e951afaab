package dev.whence.attribution.confidence;

import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.AttributionResult.TokenScore;
import dev.whence.attribution.source.Words;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What is known of a fast result for nothing, and tells whether the target will agree: how far its
 * decisions are from being others (is a source above 1 nat, which are the first k), how grounded
 * and how likely the response is, and whether the words say the same as the scores. Scores go
 * through asinh, which is linear near 0 and logarithmic far away.
 */
public final class Features {
  /** Their names, in the order of {@link #vector}. */
  public static final List<String> NAMES =
      List.of(
          "largest",
          "relevant",
          "threshold-margin",
          "rank-margin",
          "concentration",
          "groundedness",
          "log-prob",
          "sources",
          "tokens",
          "duplicates",
          "words-agree");

  private static final int SOURCES = NAMES.indexOf("sources");
  private static final int TOKENS = NAMES.indexOf("tokens");

  /** No feature is nearly as large; what is would move a mean for a whole window. */
  private static final double LARGEST = 1e4;

  private static final double LN_2 = Math.log(2);

  private Features() {}

  /** The features of a scored result with at least one source. */
  public static Map<String, Double> of(AttributionResult result, String response) {
    double[] taus = result.sources().stream().mapToDouble(SourceScore::tau).toArray();
    double[] sorted = Arrays.stream(taus).map(tau -> -tau).sorted().map(tau -> -tau).toArray();
    int k = TopSources.relevant(taus);
    double positive = Arrays.stream(taus).filter(tau -> tau > 0).sum();
    double first = Arrays.stream(sorted).limit(Math.max(1, k)).filter(tau -> tau > 0).sum();
    Map<String, Double> features = new LinkedHashMap<>();
    features.put("largest", asinh(sorted[0]));
    features.put("relevant", (double) k);
    features.put("threshold-margin", thresholdMargin(taus));
    features.put("rank-margin", rankMargin(sorted, k));
    features.put("concentration", positive > 0 ? first / positive : 0);
    features.put("groundedness", asinh(result.groundednessPerToken().orElse(0)));
    features.put(
        "log-prob", result.tokens().stream().mapToDouble(TokenScore::logProb).average().orElse(0));
    features.put("sources", Math.log1p(taus.length));
    features.put("tokens", Math.log1p((double) result.promptTokens() + result.responseTokens()));
    features.put("duplicates", (double) result.groups().size());
    features.put("words-agree", wordsAgree(result.sources(), taus, k, response));
    features.replaceAll((name, value) -> Math.max(-LARGEST, Math.min(LARGEST, value)));
    return features;
  }

  /**
   * How large a response with its prompt is, each on a logarithmic scale: sources, tokens, and what
   * scoring each source takes, which is bounded by what both are together.
   */
  static double[] sizes(double[] features) {
    double sources = features[SOURCES];
    double tokens = features[TOKENS];
    return new double[] {sources, tokens, sources + tokens};
  }

  /** How far the source nearest to 1 nat is from it. */
  private static double thresholdMargin(double[] taus) {
    double threshold = asinh(TopSources.RELEVANT_NATS);
    return Arrays.stream(taus).map(tau -> Math.abs(asinh(tau) - threshold)).min().orElse(0);
  }

  /** How far the last that counts is from the first that does not; with none, from counting. */
  private static double rankMargin(double[] sorted, int k) {
    if (k == 0) {
      return asinh(TopSources.RELEVANT_NATS) - asinh(sorted[0]);
    }
    return asinh(sorted[k - 1]) - (k < sorted.length ? asinh(sorted[k]) : 0);
  }

  /**
   * Share of the top sources that are also first by the words they have in common with the text.
   */
  private static double wordsAgree(
      List<SourceScore> sources, double[] taus, int k, String response) {
    if (k == 0) {
      return 0;
    }
    Set<String> said = words(response);
    double[] common = new double[taus.length];
    for (int i = 0; i < common.length; i++) {
      Set<String> words = words(sources.get(i).text());
      int all = words.size();
      words.retainAll(said);
      common[i] = all == 0 ? 0 : words.size() / Math.sqrt(all);
    }
    Set<Integer> byWords = new HashSet<>(TopSources.top(common, k));
    byWords.retainAll(TopSources.top(taus, k));
    return (double) byWords.size() / k;
  }

  private static Set<String> words(String text) {
    return new HashSet<>(Words.of(text));
  }

  /**
   * The features as a vector.
   *
   * @throws IllegalArgumentException if one is missing, no number, or too large to be one
   */
  static double[] vector(Map<String, Double> features) {
    double[] vector = new double[NAMES.size()];
    for (int i = 0; i < vector.length; i++) {
      Double value = features.get(NAMES.get(i));
      if (value == null || !(Math.abs(value) <= LARGEST)) {
        throw new IllegalArgumentException("the feature '" + NAMES.get(i) + "' is " + value);
      }
      vector[i] = value;
    }
    return vector;
  }

  /** Far from 0 it is the logarithm of 2 |x|, whose square may be too large for a double. */
  static double asinh(double x) {
    double size = Math.abs(x);
    double far = size < 1e8 ? Math.log(size + Math.sqrt(size * size + 1)) : Math.log(size) + LN_2;
    return Math.copySign(far, x);
  }
}
