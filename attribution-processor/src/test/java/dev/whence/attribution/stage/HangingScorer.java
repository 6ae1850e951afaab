package dev.whence.attribution.stage;

import dev.whence.attribution.toy.ForwardingScorer;
import dev.whence.engine.Scorer;
import dev.whence.engine.Trunk;
import java.util.concurrent.locks.LockSupport;

/** A real model that never comes back from a long response, as a native call that hangs. */
final class HangingScorer extends ForwardingScorer {
  private final int tokens;

  private HangingScorer(Scorer real, int tokens) {
    super(real);
    this.tokens = tokens;
  }

  /**
   * Wraps what another loader loads.
   *
   * @param tokens of a response from which on it hangs
   */
  static ModelLoader loader(ModelLoader real, int tokens) {
    return (choice, beforeWeights) -> {
      ModelLoader.Loaded loaded = real.load(choice, beforeWeights);
      return new ModelLoader.Loaded(
          new HangingScorer(loaded.scorer(), tokens), loaded.nativeBytes());
    };
  }

  @Override
  public Trunk trunk(int[] all, int scoredFrom) {
    while (all.length - scoredFrom >= tokens) {
      LockSupport.park();
    }
    return super.trunk(all, scoredFrom);
  }
}
