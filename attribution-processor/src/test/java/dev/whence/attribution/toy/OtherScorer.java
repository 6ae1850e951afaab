package dev.whence.attribution.toy;

import dev.whence.engine.Branch;
import dev.whence.engine.Introspection;
import dev.whence.engine.Scorer;
import dev.whence.engine.ScorerDescription;
import dev.whence.engine.Trunk;
import dev.whence.engine.WorkEstimate;
import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.Tokenizer;
import java.util.List;
import java.util.Optional;

/** A scorer under another name, with a tokenizer or a template of its own. */
public class OtherScorer implements Scorer {
  private final Scorer model;
  private final String name;
  private final Tokenizer tokenizer;
  private final PromptTemplate template;

  public OtherScorer(Scorer model, String name, Tokenizer tokenizer) {
    this(model, name, tokenizer, model.template());
  }

  public OtherScorer(Scorer model, String name, Tokenizer tokenizer, PromptTemplate template) {
    this.model = model;
    this.name = name;
    this.tokenizer = tokenizer;
    this.template = template;
  }

  @Override
  public ScorerDescription description() {
    ScorerDescription of = model.description();
    return new ScorerDescription(
        name,
        of.digest(),
        of.dtype(),
        of.device(),
        of.family(),
        of.layers(),
        of.maxPositions(),
        of.shiftable(),
        of.parameters(),
        of.aliases());
  }

  @Override
  public Tokenizer tokenizer() {
    return tokenizer;
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
  public Optional<Introspection> introspection() {
    return model.introspection();
  }

  @Override
  public void close() {
    model.close();
  }
}
