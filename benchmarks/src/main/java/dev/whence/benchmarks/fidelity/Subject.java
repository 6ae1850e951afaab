package dev.whence.benchmarks.fidelity;

import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.attribution.source.Bm25;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.PartKind;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.BiFunction;
import java.util.stream.Collectors;

/**
 * What is measured: a method of the engine, or a baseline that only ranks and runs no model.
 *
 * @param name in the tables
 * @param origin whose it is
 * @param inNats whether its scores are differences of log-likelihood, as exact tau is
 * @param way how it gives scores
 */
record Subject(String name, Origin origin, boolean inNats, Way way) {
  /** What all others are measured against. */
  static final String EXACT = "exact LOO";

  /** Begins the names of those that run on the proxy, but for the target's pass over all. */
  static final String AT_PROXY = "proxy: ";

  /** Whose a method is. */
  enum Origin {
    /** Whence's own. */
    OURS,
    /** AttriBoT's, ContextCite's, or one of the baselines that they are compared with. */
    LITERATURE
  }

  /** How scores come about. */
  sealed interface Way {}

  /** By a method of the engine. */
  record Run(MethodOptions method) implements Way {}

  /** From the texts of prompt and response, with the sources that a result names. */
  record Rank(BiFunction<Conversation, AttributionResult, double[]> scores) implements Way {}

  /**
   * All of them.
   *
   * @param hasProxy whether a proxy model is there
   */
  static List<Subject> all(boolean hasProxy) {
    List<Subject> all = new ArrayList<>();
    all.add(theirs(EXACT, MethodOptions.DEFAULT, true));
    for (int heal : new int[] {0, 16, 48}) {
      all.add(ours("splice, w = " + heal, MethodOptions.of("splice").withHeal(heal)));
    }
    all.add(ours("cascade: splice, exact on the top 6", MethodOptions.of("cascade")));
    for (int keep : new int[] {3, 2}) {
      MethodOptions options = MethodOptions.of("paragraph-splice").withKeepParagraphs(keep);
      all.add(ours("paragraph-first splice, K = " + keep, options));
    }
    all.add(theirs("hierarchical, K = 3", MethodOptions.of("hierarchical"), true));
    if (hasProxy) {
      all.add(theirs(AT_PROXY + "exact LOO", MethodOptions.of("proxy"), true));
      all.add(ours(AT_PROXY + "splice, w = 16", MethodOptions.of("proxy").withOfProxy("splice")));
      all.add(
          ours(
              AT_PROXY + "paragraph-first splice, K = 3",
              MethodOptions.of("proxy").withOfProxy("paragraph-splice")));
      all.add(theirs("proxy pruning, k = 6", MethodOptions.of("proxy-pruning"), true));
    }
    for (int masks : new int[] {32, 64}) {
      MethodOptions options = MethodOptions.of("contextcite").withMasks(masks, 7);
      all.add(theirs("ContextCite-" + masks, options, false));
    }
    all.add(theirs("attention", MethodOptions.of("attention"), false));
    all.add(theirs("gradient norm", MethodOptions.of("gradient-norm"), false));
    all.add(theirs("similarity", MethodOptions.of("similarity"), false));
    all.add(ranked("BM25", (asked, result) -> Bm25.scores(texts(result), query(asked))));
    all.add(ranked("position", (asked, result) -> position(result.sources().size())));
    all.add(
        ranked("random", (asked, result) -> random(result.sources().size(), asked.responseId())));
    return all;
  }

  /**
   * Those whose names begin so.
   *
   * @param names beginnings of names
   * @param hasProxy as of {@link #all}; where there is none, a beginning may be one of a method
   *     that needs it, if there are others
   * @throws IllegalArgumentException if there are none, or none begins as one of the names
   */
  static List<Subject> beginning(List<String> names, boolean hasProxy) {
    List<Subject> known = all(true);
    List<String> unknown =
        names.stream()
            .filter(name -> known.stream().noneMatch(one -> one.name().startsWith(name)))
            .toList();
    if (!unknown.isEmpty()) {
      throw new IllegalArgumentException("no method begins so: " + unknown);
    }
    List<Subject> found =
        all(hasProxy).stream()
            .filter(subject -> names.stream().anyMatch(subject.name()::startsWith))
            .toList();
    if (found.isEmpty()) {
      throw new IllegalArgumentException("without a proxy no method begins so: " + names);
    }
    return found;
  }

  private static Subject ours(String name, MethodOptions method) {
    return new Subject(name, Origin.OURS, true, new Run(method));
  }

  private static Subject theirs(String name, MethodOptions method, boolean inNats) {
    return new Subject(name, Origin.LITERATURE, inNats, new Run(method));
  }

  private static Subject ranked(
      String name, BiFunction<Conversation, AttributionResult, double[]> scores) {
    return new Subject(name, Origin.LITERATURE, false, new Rank(scores));
  }

  private static List<String> texts(AttributionResult result) {
    return result.sources().stream().map(SourceScore::text).toList();
  }

  private static String query(Conversation conversation) {
    String question =
        conversation
            .parts()
            .filter(part -> part.kind() == PartKind.QUESTION)
            .map(part -> part.text())
            .collect(Collectors.joining(" "));
    return question + " " + conversation.response();
  }

  /** The earlier the better. */
  private static double[] position(int sources) {
    double[] scores = new double[sources];
    for (int i = 0; i < sources; i++) {
      scores[i] = -i;
    }
    return scores;
  }

  private static double[] random(int sources, String id) {
    return new SplittableRandom(id.hashCode()).doubles(sources).toArray();
  }
}
