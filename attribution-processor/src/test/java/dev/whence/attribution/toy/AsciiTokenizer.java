package dev.whence.attribution.toy;

import dev.whence.engine.text.Encoding;
import dev.whence.engine.text.Tokenizer;

/** Knows the characters of ASCII only: each other one is read as a question mark. */
public final class AsciiTokenizer implements Tokenizer {
  private final Tokenizer inner;

  public AsciiTokenizer(Tokenizer inner) {
    this.inner = inner;
  }

  @Override
  public Encoding encode(String text) {
    return inner.encode(text.replaceAll("[^\\p{ASCII}]", "?"));
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
