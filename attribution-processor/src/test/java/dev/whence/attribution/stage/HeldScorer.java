package dev.whence.attribution.stage;

import dev.whence.engine.Branch;
import dev.whence.engine.Scorer;
import dev.whence.engine.ScorerDescription;
import dev.whence.engine.Trunk;
import dev.whence.engine.WorkEstimate;
import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.Tokenizer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.locks.LockSupport;

/**
 * A real model that takes its time: each run waits as long as a file exists.
 *
 * @param real the model
 * @param hold the file
 */
record HeldScorer(Scorer real, Path hold) implements Scorer {
  private static final long LOOK_EVERY = Duration.ofMillis(20).toNanos();

  /** Holds what another loader loads. */
  static ModelLoader loader(ModelLoader real, Path hold) {
    return (choice, beforeWeights) -> {
      ModelLoader.Loaded loaded = real.load(choice, beforeWeights);
      return new ModelLoader.Loaded(new HeldScorer(loaded.scorer(), hold), loaded.nativeBytes());
    };
  }

  @Override
  public ScorerDescription description() {
    return real.description();
  }

  @Override
  public Tokenizer tokenizer() {
    return real.tokenizer();
  }

  @Override
  public PromptTemplate template() {
    return real.template();
  }

  @Override
  public Trunk trunk(int[] tokens, int scoredFrom) {
    while (Files.exists(hold)) {
      LockSupport.parkNanos(LOOK_EVERY);
    }
    return real.trunk(tokens, scoredFrom);
  }

  @Override
  public List<double[]> score(Trunk trunk, List<Branch> branches) {
    return real.score(trunk, branches);
  }

  @Override
  public WorkEstimate estimate(int trunkTokens, int trunkScored, List<Branch> branches) {
    return real.estimate(trunkTokens, trunkScored, branches);
  }

  @Override
  public void close() {
    real.close();
  }
}
