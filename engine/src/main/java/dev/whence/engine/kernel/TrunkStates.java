package dev.whence.engine.kernel;

import ai.djl.pytorch.jni.IValue;
import dev.whence.engine.Branch;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * What a trunk's scored rows gave: their hidden states after the last norm and, once branches are
 * scored, the log-probabilities of all tokens there. A branch that scores the same tokens changes
 * these states by little, so its logits are computed as a difference: products in bf16, whose
 * rounding is relative to the difference, take the place of products in fp32 over the whole
 * vocabulary (see {@code logProbsNear} in the kernel). The decoder's thread owns it.
 */
final class TrunkStates implements AutoCloseable {
  /** Most bytes of states and log-probabilities; where they take more, branches do without. */
  static final long MOST_BYTES = 512L << 20;

  private final IValue states;
  private final int[] targets;
  private final long bytesOfStates;
  private final long bytesOfAll;
  private final NativeMemory memory;
  private Optional<IValue> all = Optional.empty();
  private boolean asked;

  /**
   * @param states room for them, [targets, d] in fp32
   * @param targets the tokens that the trunk's rows score, in order
   * @param vocabulary entries of it
   */
  TrunkStates(IValue states, int[] targets, int hiddenSize, int vocabulary, NativeMemory memory) {
    this.states = states;
    this.targets = targets;
    this.bytesOfStates = bytes(targets.length, hiddenSize);
    this.bytesOfAll = bytes(targets.length, vocabulary);
    this.memory = memory;
    memory.addTrunk(bytesOfStates);
  }

  /** Of so many values in fp32 for each of some rows. */
  static long bytes(int rows, long values) {
    return Float.BYTES * values * rows;
  }

  /** [targets, d] in fp32. */
  IValue states() {
    return states;
  }

  /** Bytes on the device. */
  long bytes() {
    return bytesOfStates + (all.isPresent() ? bytesOfAll : 0);
  }

  /** Bytes that {@link #complete} adds. */
  long bytesOfAll() {
    return bytesOfAll;
  }

  /** Whether it is known if the log-probabilities of all tokens can be had. */
  boolean settled() {
    return asked;
  }

  /**
   * Takes the log-probabilities of all tokens.
   *
   * @param logProbs gives [targets, vocabulary] in fp32, or nothing where there is no room for it
   */
  void complete(Supplier<Optional<IValue>> logProbs) {
    asked = true;
    all = logProbs.get();
    all.ifPresent(unused -> memory.addTrunk(bytesOfAll));
  }

  /** Log-probabilities of all tokens, [targets, vocabulary] in fp32; {@link #serve} said so. */
  IValue all() {
    return all.orElseThrow();
  }

  int rows() {
    return targets.length;
  }

  /** Whether the log-probabilities are there and all branches can use them. */
  boolean serve(List<Branch> branches) {
    return all.isPresent() && branches.stream().allMatch(this::covers);
  }

  private boolean covers(Branch branch) {
    int[] tokens = branch.tokens();
    int from = branch.scoredFrom();
    return branch.scored() == targets.length
        && Arrays.equals(tokens, from, tokens.length, targets, 0, targets.length);
  }

  /** Frees the log-probabilities of all tokens for good: they only save time. */
  void drop() {
    asked = true;
    all.ifPresent(
        value -> {
          value.close();
          memory.addTrunk(-bytesOfAll);
        });
    all = Optional.empty();
  }

  @Override
  public void close() {
    drop();
    states.close();
    memory.addTrunk(-bytesOfStates);
  }
}
