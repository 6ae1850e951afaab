package dev.whence.attribution.toy;

import dev.whence.engine.Branch;
import dev.whence.engine.Scorer;
import dev.whence.engine.ScorerDescription;
import dev.whence.engine.Trunk;
import dev.whence.engine.WorkEstimate;
import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.Tokenizer;
import java.util.List;

/** Another scorer, but for what a subclass does otherwise. */
public abstract class ForwardingScorer implements Scorer {
  private final Scorer model;

  protected ForwardingScorer(Scorer model) {
    this.model = model;
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
    return model.score(trunk, branches);
  }

  @Override
  public WorkEstimate estimate(int trunkTokens, int trunkScored, List<Branch> branches) {
    return model.estimate(trunkTokens, trunkScored, branches);
  }

  @Override
  public WorkEstimate expected(WorkEstimate estimate) {
    return model.expected(estimate);
  }

  @Override
  public double mayBeFaster() {
    return model.mayBeFaster();
  }

  @Override
  public void begin(WorkEstimate estimate) {
    model.begin(estimate);
  }

  @Override
  public void close() {
    model.close();
  }
}
