package dev.whence.attribution.toy;

import dev.whence.engine.Branch;
import dev.whence.engine.EngineException;
import dev.whence.engine.Scorer;
import dev.whence.engine.Trunk;
import java.util.List;

/** Fails in the first branch. */
public final class FailingScorer extends ForwardingScorer {
  private final EngineException.Kind kind;

  public FailingScorer(Scorer model, EngineException.Kind kind) {
    super(model);
    this.kind = kind;
  }

  @Override
  public List<double[]> score(Trunk trunk, List<Branch> branches) {
    throw new EngineException(kind, "the device said " + kind);
  }

  @Override
  public void close() {}
}
