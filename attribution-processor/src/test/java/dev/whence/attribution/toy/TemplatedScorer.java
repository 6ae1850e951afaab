package dev.whence.attribution.toy;

import dev.whence.engine.Scorer;
import dev.whence.engine.text.PromptTemplate;

/** A scorer that is prompted with another template. */
public final class TemplatedScorer extends ForwardingScorer {
  private final PromptTemplate template;

  public TemplatedScorer(Scorer model, PromptTemplate template) {
    super(model);
    this.template = template;
  }

  @Override
  public PromptTemplate template() {
    return template;
  }
}
