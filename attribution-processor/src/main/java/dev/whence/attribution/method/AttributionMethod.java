package dev.whence.attribution.method;

import dev.whence.engine.Scorer;
import dev.whence.engine.WorkEstimate;

/** A way to give every source a score: a choice of branches. */
public sealed interface AttributionMethod permits LeaveOneOut, Hierarchical {
  /** As results name it, for example "exact-loo". */
  String name();

  /**
   * Scores a task.
   *
   * @param meter counts what is spent
   * @throws dev.whence.engine.EngineException as {@link Scorer#trunk}
   */
  ContextScores score(Scorer scorer, ScoringTask task, Meter meter);

  /**
   * What {@link #score} would cost, from lengths alone: tokens that a cut changes beside it are not
   * counted.
   */
  WorkEstimate estimate(Scorer scorer, ScoringTask task);

  /**
   * The method of a name.
   *
   * @param keepParagraphs K of the hierarchical method
   * @throws IllegalArgumentException if there is none of that name
   */
  static AttributionMethod of(String name, int keepParagraphs) {
    return switch (name) {
      case LeaveOneOut.EXACT -> LeaveOneOut.exact();
      case LeaveOneOut.NAIVE -> LeaveOneOut.naive();
      case Hierarchical.NAME -> new Hierarchical(keepParagraphs);
      default ->
          throw new IllegalArgumentException(
              "the attribution method '"
                  + name
                  + "' is not one of exact-loo, naive-loo, hierarchical");
    };
  }
}
