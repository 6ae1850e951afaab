package dev.whence.attribution.toy;

import dev.whence.engine.Branch;
import dev.whence.engine.EngineException;
import dev.whence.engine.Scorer;
import dev.whence.engine.ScorerDescription;
import dev.whence.engine.Trunk;
import dev.whence.engine.WorkEstimate;
import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.Tokenizer;
import java.util.List;

/** Fails in the first branch. */
public final class FailingScorer implements Scorer {
  private final Scorer model;
  private final EngineException.Kind kind;

  public FailingScorer(Scorer model, EngineException.Kind kind) {
    this.model = model;
    this.kind = kind;
  }

  @Override
  public ScorerDescription description() {
    return model.description();
  }

  @Override
  public Tokenizer tokenizer() {
    return model.tokenizer();
  }

  @Override
  public PromptTemplate template() {
    return model.template();
  }

  @Override
  public Trunk trunk(int[] tokens, int scoredFrom) {
    return model.trunk(tokens, scoredFrom);
  }

  @Override
  public List<double[]> score(Trunk trunk, List<Branch> branches) {
    throw new EngineException(kind, "the device said " + kind);
  }

  @Override
  public WorkEstimate estimate(int trunkTokens, int trunkScored, List<Branch> branches) {
    return model.estimate(trunkTokens, trunkScored, branches);
  }

  @Override
  public void close() {}
}
