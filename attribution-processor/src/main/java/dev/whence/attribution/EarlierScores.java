package dev.whence.attribution;

import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.method.ContextScores.SourceTau;
import dev.whence.attribution.method.GivenScores;
import dev.whence.attribution.method.ScoringTask;
import dev.whence.attribution.source.Source;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * What an earlier, cheaper result says of a response, and which of its sources are to be scored
 * again.
 *
 * @param sources of the earlier result
 * @param matrix tau[source][statement] of the earlier result, nats
 * @param candidates the sources to score again; at least one
 * @param noise of the earlier result's scores, where it says so
 */
public record EarlierScores(
    List<SourceScore> sources,
    List<List<Double>> matrix,
    Set<SourcePlace> candidates,
    Optional<NoiseFloor> noise) {
  public EarlierScores {
    sources = List.copyOf(sources);
    matrix = List.copyOf(matrix);
    candidates = Set.copyOf(candidates);
  }

  /**
   * The scores in the order of a task's sources; empty if they are not of the same sources and
   * statements, or not all are there.
   */
  Optional<GivenScores> of(ScoringTask task) {
    if (matrix.size() != sources.size()) {
      return Optional.empty();
    }
    int statements = task.response().statements().size();
    Map<SourcePlace, SourceTau> known = new HashMap<>();
    for (int i = 0; i < sources.size(); i++) {
      SourceScore source = sources.get(i);
      double[] row = matrix.get(i).stream().mapToDouble(Double::doubleValue).toArray();
      if (row.length != statements) {
        return Optional.empty();
      }
      known.put(
          new SourcePlace(source.segment(), source.span()),
          new SourceTau(
              row,
              source.reasoningTau(),
              source.method(),
              source.scorer(),
              source.exact(),
              source.context().equals(SourceScore.PRUNED)));
    }
    List<SourceTau> scores = new ArrayList<>();
    List<Integer> named = new ArrayList<>();
    for (Source source : task.sources()) {
      SourcePlace place = SourcePlace.of(source);
      SourceTau tau = known.get(place);
      if (tau == null) {
        return Optional.empty();
      }
      if (candidates.contains(place)) {
        named.add(scores.size());
      }
      scores.add(tau);
    }
    return named.isEmpty() ? Optional.empty() : Optional.of(new GivenScores(scores, named));
  }
}
