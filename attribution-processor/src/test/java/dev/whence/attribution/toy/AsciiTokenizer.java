package dev.whence.attribution.toy;

import dev.whence.engine.text.Encoding;
import dev.whence.engine.text.Tokenizer;

/** Knows the characters of ASCII only: each other one is read as a question mark. */
public final class AsciiTokenizer extends ForwardingTokenizer {
  public AsciiTokenizer(Tokenizer inner) {
    super(inner);
  }

  @Override
  public Encoding encode(String text) {
    return super.encode(text.replaceAll("[^\\p{ASCII}]", "?"));
  }
}
