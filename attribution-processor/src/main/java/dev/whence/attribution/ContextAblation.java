package dev.whence.attribution;

import dev.whence.attribution.method.Meter;
import dev.whence.attribution.method.ScoringTask;
import dev.whence.attribution.method.TrunkReadings;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Span;
import dev.whence.engine.Scorer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * L(C without some of its sources), for any choice of sources of one response, by exact readings:
 * what measures of fidelity hold a method's scores against. A choice that was asked for before is
 * not computed again.
 */
public final class ContextAblation implements AutoCloseable {
  private final ScoringTask task;
  private final TrunkReadings readings;
  private final Map<Set<Integer>, Double> known = new HashMap<>();

  private ContextAblation(Scorer scorer, ScoringTask task) {
    this.task = task;
    this.readings = new TrunkReadings(scorer, task, new Meter());
  }

  /**
   * Reads a response with its prompt.
   *
   * @param scorer stays the caller's to close
   * @param options granularity and what is attributable; the method does not count
   * @throws IllegalArgumentException if it can not be scored; the message says why
   * @throws dev.whence.engine.EngineException as {@link Scorer#trunk}
   */
  public static ContextAblation open(
      Scorer scorer, AttributionOptions options, Conversation conversation) {
    try {
      ScoringTask task = new TaskReader(scorer, options).read(conversation).task();
      return new ContextAblation(scorer, task.withoutReasoning());
    } catch (NotScorableException e) {
      throw new IllegalArgumentException(e.sentence(), e);
    }
  }

  /** The number of sources. */
  public int sources() {
    return task.sources().size();
  }

  /** Tokens of the prompt that are gone without a source. */
  public int tokens(int source) {
    return cut(Set.of(source)).stream().mapToInt(task.prompt()::tokensIn).sum();
  }

  /**
   * L(C without each set of sources), nats.
   *
   * @param sets indices of sources
   */
  public List<Double> without(List<? extends Set<Integer>> sets) {
    Set<Set<Integer>> missing = new LinkedHashSet<>(sets);
    missing.removeAll(known.keySet());
    List<Set<Integer>> asked = List.copyOf(missing);
    List<double[]> likelihoods =
        readings.exactLogLikelihoods(asked.stream().map(this::cut).toList());
    for (int i = 0; i < asked.size(); i++) {
      known.put(Set.copyOf(asked.get(i)), Arrays.stream(likelihoods.get(i)).sum());
    }
    return sets.stream().map(known::get).toList();
  }

  /**
   * L(C without one source), nats, read from position 0 as naive leave-one-out reads it, whether it
   * was asked for before or not: for those who measure what that costs.
   */
  public double naiveWithout(int source) {
    return Arrays.stream(readings.naiveLogLikelihoods(List.of(cut(Set.of(source)))).get(0)).sum();
  }

  private List<Span> cut(Set<Integer> sources) {
    List<Span> cut = new ArrayList<>();
    for (int source : new TreeSet<>(sources)) {
      Span span = task.sources().get(source).rendered();
      if (!span.isEmpty()) {
        cut.add(span);
      }
    }
    return cut;
  }

  @Override
  public void close() {
    readings.close();
  }
}
