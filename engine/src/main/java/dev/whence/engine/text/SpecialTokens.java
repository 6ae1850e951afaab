package dev.whence.engine.text;

import java.util.Map;

/**
 * The special tokens that a model names.
 *
 * @param named texts by the names that templates use: bos_token, eos_token, unk_token, ...
 * @param addsBegin whether the model's own tokenizer puts bos_token before a text that no template
 *     rendered
 * @param beginsChats whether it also does so before a text that a template rendered without one
 */
public record SpecialTokens(Map<String, String> named, boolean addsBegin, boolean beginsChats) {
  public SpecialTokens {
    named = Map.copyOf(named);
  }

  /** Of a model that takes what a template rendered as it stands. */
  public SpecialTokens(Map<String, String> named, boolean addsBegin) {
    this(named, addsBegin, false);
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
