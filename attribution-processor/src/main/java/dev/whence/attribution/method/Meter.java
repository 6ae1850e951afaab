package dev.whence.attribution.method;

import dev.whence.engine.Branch;
import dev.whence.engine.Scorer;
import dev.whence.engine.Trunk;
import dev.whence.engine.WorkEstimate;
import java.util.List;

/**
 * Counts what a result cost: tokens as they were run, floating point operations by the model's
 * shape.
 */
public final class Meter {
  private long trunkTokens;
  private long branchTokens;
  private double flops;

  void ranTrunk(Scorer scorer, Trunk trunk) {
    trunkTokens += trunk.length();
    flops += trunkCost(scorer, trunk).flops();
  }

  void ranBranches(Scorer scorer, Trunk trunk, List<Branch> branches) {
    for (Branch branch : branches) {
      branchTokens += branch.tokens().length;
    }
    WorkEstimate both =
        scorer.estimate(trunk.length(), trunk.length() - trunk.scoredFrom(), branches);
    flops += both.flops() - trunkCost(scorer, trunk).flops();
  }

  private static WorkEstimate trunkCost(Scorer scorer, Trunk trunk) {
    return scorer.estimate(trunk.length(), trunk.length() - trunk.scoredFrom(), List.of());
  }

  /** Tokens run to build trunks. */
  public long trunkTokens() {
    return trunkTokens;
  }

  /** Own tokens of all branches. */
  public long branchTokens() {
    return branchTokens;
  }

  public double flops() {
    return flops;
  }
}
