package dev.whence.attribution.method;

import dev.whence.engine.Scorer;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.stream.IntStream;

/**
 * What a method found.
 *
 * @param tokenLogProbs log p(r_t | C, r_<t) under the full prompt, nats
 * @param byStatement their sums by statement
 * @param withoutContext log-likelihood by statement without any attributable context; empty if
 *     nothing would be left of the prompt
 * @param reasoning of the reasoning in the prompt, if it has some
 * @param sources one per source, in order
 * @param groups sources that say nearly the same, with what all of them together are worth
 * @param retokenized branches in which tokens outside the cut changed
 */
@SuppressWarnings("ArrayRecordComponent") // compared nowhere
public record ContextScores(
    double[] tokenLogProbs,
    double[] byStatement,
    Optional<double[]> withoutContext,
    Optional<Reasoning> reasoning,
    List<SourceTau> sources,
    List<GroupTau> groups,
    int retokenized) {
  public ContextScores {
    sources = List.copyOf(sources);
    groups = List.copyOf(groups);
  }

  /**
   * The score of several sources: all left out at once, exactly, on the full context.
   *
   * @param sources their indices, in order
   * @param tau nats
   * @param reasoning the same for the reasoning, nats; empty if there is none
   */
  public record GroupTau(List<Integer> sources, double tau, OptionalDouble reasoning) {
    public GroupTau {
      sources = List.copyOf(sources);
    }
  }

  /**
   * The reasoning in the prompt, scored like a response of its own.
   *
   * @param tokens how many
   * @param logLikelihood under the full prompt, nats
   * @param withoutContext without any attributable context, nats; empty if nothing would be left of
   *     the prompt
   */
  public record Reasoning(int tokens, double logLikelihood, OptionalDouble withoutContext) {}

  /**
   * The score of one source.
   *
   * @param byStatement tau by statement, nats
   * @param reasoning tau of the reasoning in the prompt, nats, by the same method and in the same
   *     context; empty if there is none, or the method does not say it
   * @param method that gave it
   * @param scorer name of the model that gave it
   * @param exact whether it is exact LOO on the full context
   * @param pruned whether the context was pruned before
   */
  public record SourceTau(
      double[] byStatement,
      OptionalDouble reasoning,
      String method,
      String scorer,
      boolean exact,
      boolean pruned) {
    /** Of all statements together, nats. */
    double total() {
      return Arrays.stream(byStatement).sum();
    }

    /** The score of a method whose unit is another. */
    static SourceTau other(double[] byStatement, String method, Scorer scorer) {
      return new SourceTau(
          byStatement, OptionalDouble.empty(), method, scorer.description().model(), false, false);
    }

    /** The indices of the k largest; of equal ones the first. */
    static List<Integer> top(List<SourceTau> taus, int k) {
      return IntStream.range(0, taus.size())
          .boxed()
          .sorted(Comparator.comparingDouble(i -> -taus.get(i).total()))
          .limit(k)
          .toList();
    }

    /** The score, by the same method, of a source of which the prompt has nothing: exactly 0. */
    SourceTau nothing() {
      return new SourceTau(
          new double[byStatement.length],
          reasoning.isPresent() ? OptionalDouble.of(0) : OptionalDouble.empty(),
          method,
          scorer,
          !pruned,
          pruned);
    }

    /** An equal share for each of so many sources. */
    SourceTau share(int sources, String shareMethod) {
      double[] share = Arrays.stream(byStatement).map(tau -> tau / sources).toArray();
      OptionalDouble reasoningShare =
          reasoning.isPresent()
              ? OptionalDouble.of(reasoning.getAsDouble() / sources)
              : OptionalDouble.empty();
      return new SourceTau(share, reasoningShare, shareMethod, scorer, false, pruned);
    }

    /** The same, measured in a pruned prompt. */
    SourceTau inPruned() {
      return new SourceTau(byStatement, reasoning, method, scorer, false, true);
    }

    /** The same, of a model that is not the one asked for. */
    SourceTau inexact() {
      return new SourceTau(byStatement, reasoning, method, scorer, false, pruned);
    }
  }

  /** The same with scores of its sources. */
  ContextScores withSources(List<SourceTau> others, int retokenizedBranches) {
    return new ContextScores(
        tokenLogProbs, byStatement, withoutContext, reasoning, others, groups, retokenizedBranches);
  }
}
