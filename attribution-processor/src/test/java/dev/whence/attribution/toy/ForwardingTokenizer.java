package dev.whence.attribution.toy;

import dev.whence.engine.text.Encoding;
import dev.whence.engine.text.Tokenizer;

/** What another tokenizer says; subclasses change or watch some of it. */
public abstract class ForwardingTokenizer implements Tokenizer {
  private final Tokenizer inner;

  protected ForwardingTokenizer(Tokenizer inner) {
    this.inner = inner;
  }

  @Override
  public Encoding encode(String text) {
    return inner.encode(text);
  }

  @Override
  public String decode(int[] ids, boolean skipSpecialTokens) {
    return inner.decode(ids, skipSpecialTokens);
  }

  @Override
  public int vocabularySize() {
    return inner.vocabularySize();
  }

  @Override
  public int longestToken() {
    return inner.longestToken();
  }

  @Override
  public boolean isSpecial(int id) {
    return inner.isSpecial(id);
  }

  @Override
  public int idOf(String token) {
    return inner.idOf(token);
  }

  @Override
  public void close() {
    inner.close();
  }
}
