package dev.whence.attribution.method;

import dev.whence.attribution.method.ContextScores.SourceTau;
import dev.whence.engine.WorkEstimate;
import java.util.List;

/** Scores of a task's sources by somebody else than its scorer: what pruning starts from. */
public sealed interface Prior permits ProxyReading, GivenScores {
  /** One score for each of the task's sources. */
  List<SourceTau> taus(Meter meter);

  /** Which sources are worth the scorer's own look: the k largest, or those that were named. */
  List<Integer> candidates(List<SourceTau> taus, int k);

  /** As far as it is known before: which sources those will be, else as many others. */
  List<Integer> expectedCandidates(int k);

  /** What {@link #taus} costs. */
  WorkEstimate estimate();
}
