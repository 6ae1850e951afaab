package dev.whence.attribution;

import dev.whence.attribution.toy.ForwardingScorer;
import dev.whence.engine.Branch;
import dev.whence.engine.Scorer;
import dev.whence.engine.Trunk;
import java.util.ArrayList;
import java.util.List;

/** Counts branches instead of computing them: every token has log-probability -1. */
final class CountingScorer extends ForwardingScorer {
  int calls;
  int largestCall;
  long tokens;

  CountingScorer(Scorer model) {
    super(model);
  }

  @Override
  public Trunk trunk(int[] ids, int scoredFrom) {
    double[] logProbs = minusOnes(ids.length - scoredFrom);
    return new Trunk() {
      @Override
      public int length() {
        return ids.length;
      }

      @Override
      public int[] tokens() {
        return ids;
      }

      @Override
      public int scoredFrom() {
        return scoredFrom;
      }

      @Override
      public double[] logProbs() {
        return logProbs;
      }

      @Override
      public long bytes() {
        return 0;
      }

      @Override
      public void close() {}
    };
  }

  @Override
  public List<double[]> score(Trunk trunk, List<Branch> branches) {
    calls++;
    int own = 0;
    List<double[]> scores = new ArrayList<>();
    for (Branch branch : branches) {
      own += branch.tokens().length;
      scores.add(minusOnes(branch.scored()));
    }
    largestCall = Math.max(largestCall, own);
    tokens += own;
    return scores;
  }

  private static double[] minusOnes(int length) {
    double[] values = new double[length];
    java.util.Arrays.fill(values, -1);
    return values;
  }

  @Override
  public void close() {}
}
