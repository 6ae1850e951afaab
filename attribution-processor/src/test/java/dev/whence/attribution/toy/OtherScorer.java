package dev.whence.attribution.toy;

import dev.whence.engine.Introspection;
import dev.whence.engine.Scorer;
import dev.whence.engine.ScorerDescription;
import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.Tokenizer;
import java.util.Optional;

/** A scorer under another name, with a tokenizer or a template of its own. */
public class OtherScorer extends ForwardingScorer {
  private final Scorer model;
  private final String name;
  private final Tokenizer tokenizer;
  private final PromptTemplate template;

  public OtherScorer(Scorer model, String name, Tokenizer tokenizer) {
    this(model, name, tokenizer, model.template());
  }

  public OtherScorer(Scorer model, String name, Tokenizer tokenizer, PromptTemplate template) {
    super(model);
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
  public Optional<Introspection> introspection() {
    return model.introspection();
  }
}
