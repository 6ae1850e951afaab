package dev.whence.benchmarks.influence;

import dev.whence.attribution.Proportion;
import dev.whence.samples.StatedFact.Form;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * How well a method finds the documents that taught a fact.
 *
 * @param method its name
 * @param hit share of queries with such a document among the first ten
 * @param first share of queries where such a document comes first
 * @param recall mean share of such documents among the first ten, of those that could be there
 * @param recallByForm the same of documents that state the fact in one form only
 * @param secondsPerQuery wall time
 */
public record Retrieval(
    String method,
    Proportion hit,
    Proportion first,
    double recall,
    Map<Form, Double> recallByForm,
    double secondsPerQuery) {
  private static final int TOP = 10;

  public Retrieval {
    recallByForm = Map.copyOf(recallByForm);
  }

  /** Asks all queries. */
  static Retrieval of(String name, DocumentScores method, List<TruthQuery> queries) {
    long started = System.nanoTime();
    int hits = 0;
    int firsts = 0;
    double recalls = 0;
    Map<Form, List<Double>> byForm = new EnumMap<>(Form.class);
    for (TruthQuery query : queries) {
      double[] scores = method.of(query);
      List<Integer> top =
          IntStream.range(0, scores.length)
              .boxed()
              .sorted(Comparator.comparingDouble(i -> -scores[i]))
              .limit(TOP)
              .toList();
      hits += top.stream().anyMatch(query.stating()::containsKey) ? 1 : 0;
      firsts += query.stating().containsKey(top.get(0)) ? 1 : 0;
      recalls += recall(top, query.stating().keySet());
      for (Form form : Form.values()) {
        Set<Integer> ofForm =
            query.stating().entrySet().stream()
                .filter(entry -> entry.getValue().equals(Set.of(form)))
                .map(Map.Entry::getKey)
                .collect(Collectors.toSet());
        if (!ofForm.isEmpty()) {
          byForm.computeIfAbsent(form, f -> new ArrayList<>()).add(recall(top, ofForm));
        }
      }
    }
    Map<Form, Double> means = new EnumMap<>(Form.class);
    byForm.forEach(
        (form, values) ->
            means.put(
                form, values.stream().mapToDouble(Double::doubleValue).average().orElseThrow()));
    return new Retrieval(
        name,
        Proportion.of(hits, queries.size()),
        Proportion.of(firsts, queries.size()),
        recalls / Math.max(1, queries.size()),
        means,
        (System.nanoTime() - started) / 1e9 / Math.max(1, queries.size()));
  }

  private static double recall(List<Integer> top, Set<Integer> wanted) {
    return (double) top.stream().filter(wanted::contains).count() / Math.min(TOP, wanted.size());
  }
}
