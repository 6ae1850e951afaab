package dev.whence.attribution.toy;

import dev.whence.engine.Branch;
import dev.whence.engine.Scorer;
import dev.whence.engine.ScorerDescription;
import dev.whence.engine.Trunk;
import dev.whence.engine.WorkEstimate;
import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.Tokenizer;
import java.util.List;

/** A scorer that is prompted with another template. */
public final class TemplatedScorer implements Scorer {
  private final Scorer model;
  private final PromptTemplate template;

  public TemplatedScorer(Scorer model, PromptTemplate template) {
    this.model = model;
    this.template = template;
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
    return template;
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
  public void close() {
    model.close();
  }
}
