package dev.whence.engine.kernel;

import ai.djl.pytorch.jni.IValue;
import dev.whence.engine.Branch;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * What a trunk's scored rows gave: their hidden states after the last norm and, once several
 * branches are scored, the log-probabilities of all tokens there. A branch that scores the same
 * tokens changes these states by little, so its logits are computed as a difference: products in
 * bf16, whose rounding is relative to the difference, take the place of products in fp32 over the
 * whole vocabulary (see {@code logProbsNear} in the kernel). The decoder's thread owns it.
 */
final class TrunkStates implements AutoCloseable {
  /** Most bytes of states and log-probabilities; where they take more, branches do without. */
  static final long MOST_BYTES = 256L << 20;

  private final IValue states;
  private final int[] targets;
  private final long bytesOfStates;
  private final long bytesOfLogProbs;
  private final NativeMemory memory;
  private final Collection<TrunkStates> open;
  private Optional<IValue> logProbs = Optional.empty();
  private long expected;
  private boolean settled;

  /**
   * @param states room for them, [targets, d] in fp32
   * @param targets the tokens that the trunk's rows score, in order
   * @param open holds it until it is closed
   */
  TrunkStates(
      IValue states,
      int[] targets,
      int hiddenSize,
      int vocabulary,
      NativeMemory memory,
      Collection<TrunkStates> open) {
    this.states = states;
    this.targets = targets;
    this.bytesOfStates = bytes(targets.length, hiddenSize);
    this.bytesOfLogProbs = bytes(targets.length, 1L + vocabulary);
    this.memory = memory;
    this.open = open;
    memory.addTrunk(bytesOfStates);
    open.add(this);
  }

  /** Of so many values in fp32 for each of some rows. */
  static long bytes(int rows, long values) {
    return Float.BYTES * values * rows;
  }

  /** [targets, d] in fp32. */
  IValue states() {
    return states;
  }

  /** What the trunk's rows score, in order. */
  int[] targets() {
    return targets;
  }

  /** Bytes on the device. */
  long bytes() {
    return bytesOfStates + (logProbs.isPresent() ? bytesOfLogProbs : 0);
  }

  /** Bytes that {@link #complete} adds. */
  long bytesOfLogProbs() {
    return bytesOfLogProbs;
  }

  /** Whether all branches score what the trunk scored. */
  boolean serves(List<Branch> branches) {
    return branches.stream().allMatch(this::serves);
  }

  private boolean serves(Branch branch) {
    int[] tokens = branch.tokens();
    int from = branch.scoredFrom();
    return branch.scored() == targets.length
        && Arrays.equals(tokens, from, tokens.length, targets, 0, targets.length);
  }

  /** Counts branches that are about to be scored. */
  void expect(List<Branch> branches) {
    expected += branches.stream().filter(this::serves).count();
  }

  /**
   * Whether log-probabilities are to be computed now: for a single branch they would cost more than
   * they save.
   */
  boolean due() {
    return !settled && expected > 1;
  }

  /**
   * Takes the trunk's log-probabilities.
   *
   * @param trunkLogProbs as the kernel gives them, or nothing where there is no room for them
   */
  void complete(Supplier<Optional<IValue>> trunkLogProbs) {
    settled = true;
    logProbs = trunkLogProbs.get();
    logProbs.ifPresent(unused -> memory.addTrunk(bytesOfLogProbs));
  }

  /** As the kernel gives them, if they are there. */
  Optional<IValue> logProbs() {
    return logProbs;
  }

  /** Frees the log-probabilities for good: they only save time. */
  void drop() {
    settled = true;
    logProbs.ifPresent(
        value -> {
          value.close();
          memory.addTrunk(-bytesOfLogProbs);
        });
    logProbs = Optional.empty();
  }

  @Override
  public void close() {
    drop();
    states.close();
    memory.addTrunk(-bytesOfStates);
    open.remove(this);
  }
}
