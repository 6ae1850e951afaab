package dev.whence.attribution.method;

import dev.whence.attribution.method.ContextScores.SourceTau;
import dev.whence.engine.WorkEstimate;
import java.util.List;

/**
 * Scores of an earlier result about the same response, such as the FAST role's.
 *
 * @param scores one for each source of the task
 * @param named indices of the sources to score again
 */
public record GivenScores(List<SourceTau> scores, List<Integer> named) implements Prior {
  public GivenScores {
    scores = List.copyOf(scores);
    named = List.copyOf(named);
  }

  @Override
  public List<SourceTau> taus(Meter meter) {
    return scores;
  }

  @Override
  public List<Integer> candidates(List<SourceTau> taus, int k) {
    return named;
  }

  @Override
  public List<Integer> expectedCandidates(int k) {
    return named;
  }

  @Override
  public WorkEstimate estimate() {
    return new WorkEstimate(0, 0, 0);
  }
}
