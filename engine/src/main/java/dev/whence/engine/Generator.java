package dev.whence.engine;

import dev.whence.engine.kernel.Decoder;
import dev.whence.engine.kernel.GreedyDecoding;
import java.util.Set;

/** Greedy generation on the kernels that score: deterministic, for samples and tests. */
public final class Generator {
  private final Decoder decoder;

  public Generator(LocalScorer scorer) {
    this.decoder = scorer.decoder();
  }

  /**
   * Appends the most probable token (the lowest id among equals) until an end token or the limit.
   *
   * @param prompt at least one token
   * @param maxNewTokens most tokens to append
   * @param endTokens ids that end the answer
   * @return the appended tokens, the end token included if one was generated
   * @throws EngineException of kind UNSUPPORTED if prompt and limit exceed the model's positions
   */
  public int[] generate(int[] prompt, int maxNewTokens, Set<Integer> endTokens) {
    return GreedyDecoding.generate(decoder, prompt, maxNewTokens, endTokens);
  }
}
