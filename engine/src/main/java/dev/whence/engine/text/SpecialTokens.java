package dev.whence.engine.text;

import java.util.Map;

/**
 * The special tokens that a model names.
 *
 * @param named texts by the names that templates use: bos_token, eos_token, unk_token, ...
 * @param addsBegin whether the model's own tokenizer puts bos_token before a text that no template
 *     rendered
 */
public record SpecialTokens(Map<String, String> named, boolean addsBegin) {
  public SpecialTokens {
    named = Map.copyOf(named);
  }

  /** The beginning-of-sequence token, or empty. */
  public String begin() {
    return named.getOrDefault("bos_token", "");
  }

  /** The end-of-sequence token, or empty. */
  public String end() {
    return named.getOrDefault("eos_token", "");
  }
}
