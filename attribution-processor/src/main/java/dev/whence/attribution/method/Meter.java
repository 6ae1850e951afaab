package dev.whence.attribution.method;

import dev.whence.engine.Branch;
import dev.whence.engine.Scorer;
import dev.whence.engine.Trunk;
import dev.whence.engine.WorkEstimate;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Counts what a result cost: tokens as they were run, floating point operations by the model's
 * shape.
 */
public final class Meter {
  private long trunkTokens;
  private long branchTokens;
  private double flops;
  private boolean deadlineReached;
  private boolean groupsLeftOut;
  private @Nullable Meter proxy;

  /** The clock ended the work before all of it was done. */
  void endedByDeadline() {
    deadlineReached = true;
  }

  /** Whether it did. */
  public boolean deadlineReached() {
    return deadlineReached;
  }

  /** The clock left no time for all groups of near-duplicates. */
  void leftOutGroups() {
    groupsLeftOut = true;
  }

  /** Whether some have no score for that. */
  public boolean groupsLeftOut() {
    return groupsLeftOut;
  }

  /** What a proxy spends in the same result. */
  Meter ofProxy() {
    Meter meter = proxy == null ? new Meter() : proxy;
    proxy = meter;
    return meter;
  }

  void ranTrunk(Scorer scorer, Trunk trunk) {
    trunkTokens += trunk.length() - trunk.reused();
    flops += trunkCost(scorer, trunk).flops();
    if (trunk.reused() > 0) {
      flops -= scorer.estimate(trunk.reused(), 0, List.of()).flops();
    }
  }

  void ranBranches(Scorer scorer, Trunk trunk, List<Branch> branches) {
    for (Branch branch : branches) {
      branchTokens += branch.tokens().length;
    }
    WorkEstimate both =
        scorer.estimate(trunk.length(), trunk.length() - trunk.scoredFrom(), branches);
    flops += both.flops() - trunkCost(scorer, trunk).flops();
  }

  /** Whatever else the scorer computed, its tokens counted with the branches'. */
  void ran(WorkEstimate work) {
    branchTokens += work.tokens();
    flops += work.flops();
  }

  private static WorkEstimate trunkCost(Scorer scorer, Trunk trunk) {
    return scorer.estimate(trunk.length(), trunk.length() - trunk.scoredFrom(), List.of());
  }

  /** Tokens that the scorer ran to build trunks. */
  public long trunkTokens() {
    return trunkTokens;
  }

  /** Own tokens of all branches that the scorer ran, and of other forwards and backwards. */
  public long branchTokens() {
    return branchTokens;
  }

  /** Of scorer and proxy. */
  public double flops() {
    return flops + (proxy == null ? 0 : proxy.flops());
  }

  /**
   * What was spent, in passes of the scorer over prompt and response: its own tokens over T, and
   * the proxy's operations over those of a pass.
   */
  public double passes(Scorer scorer, ScoringTask task) {
    double own = (double) (trunkTokens + branchTokens) / task.length();
    if (proxy == null) {
      return own;
    }
    double pass = scorer.estimate(task.length(), task.scored(), List.of()).flops();
    return pass > 0 ? own + proxy.flops() / pass : own; // a server does not say its operations
  }
}
