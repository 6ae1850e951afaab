package dev.whence.engine;

import java.util.List;

/**
 * Provenance of a score.
 *
 * @param model name of the scoring model
 * @param digest SHA-256 over weights, tokenizer and config, in hex
 * @param dtype "bf16" or "fp32"
 * @param device "cpu", "cuda:0", ...
 * @param family "llama", "qwen2", "gpt_neox", ...
 * @param layers decoder layers
 * @param maxPositions longest sequence the model was trained for
 * @param shiftable whether views may have a shift: rotary frequencies do not depend on the length.
 *     That holds for all models that this engine loads; another scorer may say no
 * @param parameters number of weights
 * @param aliases production model names that this scorer is, rather than a surrogate for
 */
public record ScorerDescription(
    String model,
    String digest,
    String dtype,
    String device,
    String family,
    int layers,
    int maxPositions,
    boolean shiftable,
    long parameters,
    List<String> aliases) {
  public ScorerDescription {
    aliases = List.copyOf(aliases);
  }
}
