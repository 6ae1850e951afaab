package dev.whence.engine;

import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.Tokenizer;
import java.util.List;
import java.util.Optional;

/**
 * Scores token sequences under one model: the single primitive of all context attribution (branch
 * scoring). Not thread-safe: one model thread owns it.
 */
public interface Scorer extends AutoCloseable {
  /** Who scores: goes into every result. */
  ScorerDescription description();

  /**
   * A digest of what it reads and how (tokenizer, template, config), in hex, where {@link
   * ScorerDescription#digest} is empty because its weights are somewhere else; else empty.
   */
  default String textDigest() {
    return "";
  }

  Tokenizer tokenizer();

  PromptTemplate template();

  /**
   * Runs a sequence once and keeps its keys and values.
   *
   * @param tokens the prompt and the response, length T
   * @param scoredFrom first token whose log-probability is wanted, in [1, T]
   * @throws EngineException if the sequence is longer than {@link ScorerDescription#maxPositions()}
   *     ({@link EngineException.Kind#UNSUPPORTED}), the device is broken ({@link
   *     EngineException.Kind#ENVIRONMENT}), its memory does not suffice for this input, or the
   *     result is not finite (both {@link EngineException.Kind#RECORD})
   */
  Trunk trunk(int[] tokens, int scoredFrom);

  /**
   * Scores branches of one trunk, packed into as few forwards as the token budget allows.
   *
   * @return for each branch, in order, the natural-log probabilities of its tokens [scoredFrom,
   *     length), nats
   * @throws EngineException as {@link #trunk}
   */
  List<double[]> score(Trunk trunk, List<Branch> branches);

  /** What a trunk of so many tokens and the given branches would cost, before it is spent. */
  WorkEstimate estimate(int trunkTokens, int trunkScored, List<Branch> branches);

  /**
   * What a piece of work is expected to cost now that was estimated so: seconds in which it can be
   * waited for.
   */
  default WorkEstimate expected(WorkEstimate estimate) {
    return estimate;
  }

  /**
   * How many times faster than by its estimates it may be, for whoever refuses work by them: more
   * than 1 while nothing was measured that could correct them.
   */
  default double mayBeFaster() {
    return 1;
  }

  /**
   * Says that a piece of work begins that was estimated so: the calls up to the next of this
   * method. For scorers that wait for another process and must give up in time; nothing to others.
   */
  default void begin(WorkEstimate estimate) {}

  /** How much of its trunks was taken over from earlier ones. Any thread. */
  default TrunkReuse trunkReuse() {
    return TrunkReuse.NONE;
  }

  /** What can be read inside the model; empty where it is out of reach, as behind a server. */
  default Optional<Introspection> introspection() {
    return Optional.empty();
  }

  @Override
  void close();
}
