package dev.whence.attribution.stage;

import dev.whence.attribution.toy.ForwardingScorer;
import dev.whence.engine.Scorer;
import dev.whence.engine.Trunk;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.locks.LockSupport;

/** A real model that takes its time: each run waits as long as a file exists. */
final class HeldScorer extends ForwardingScorer {
  private static final long LOOK_EVERY = Duration.ofMillis(20).toNanos();

  private final Path hold;

  private HeldScorer(Scorer real, Path hold) {
    super(real);
    this.hold = hold;
  }

  /** Holds what another loader loads. */
  static ModelLoader loader(ModelLoader real, Path hold) {
    return (choice, beforeWeights) -> {
      ModelLoader.Loaded loaded = real.load(choice, beforeWeights);
      return new ModelLoader.Loaded(new HeldScorer(loaded.scorer(), hold), loaded.nativeBytes());
    };
  }

  /** A file that is there once a run has come to wait. */
  static Path reached(Path hold) {
    return hold.resolveSibling(hold.getFileName() + ".reached");
  }

  @Override
  public Trunk trunk(int[] tokens, int scoredFrom) {
    while (Files.exists(hold)) {
      try {
        Files.write(reached(hold), new byte[0]);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
      LockSupport.parkNanos(LOOK_EVERY);
    }
    return super.trunk(tokens, scoredFrom);
  }
}
