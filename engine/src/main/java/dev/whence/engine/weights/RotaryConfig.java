package dev.whence.engine.weights;

import com.fasterxml.jackson.databind.JsonNode;
import dev.whence.engine.weights.ModelConfig.Rotary;

/**
 * The rotary part of a config.json.
 *
 * <p>Implemented: default, linear, llama3, yarn, and dynamic within the trained length (there its
 * frequencies are the unscaled ones; longer sequences are past {@code maxPositions}). Refused by
 * name: longrope, mrope and whatever else.
 */
final class RotaryConfig {
  /** The frequencies and how long a sequence may be with them. */
  record Scaled(Rotary rotary, int maxPositions) {}

  private RotaryConfig() {}

  static Scaled read(String type, ConfigKeys keys, int headDim, int maxPositions) {
    boolean newer = keys.isSet("rope_parameters");
    if (newer && keys.isSet("rope_scaling")) {
      keys.problem("both rope_parameters and rope_scaling are set");
    }
    ConfigKeys scaling = keys.child(newer ? "rope_parameters" : "rope_scaling");
    JsonNode node = keys.node(newer ? "rope_parameters" : "rope_scaling");
    if (!node.isMissingNode() && !node.isNull() && !node.isObject()) {
      keys.problem("rope scaling is not an object");
    }
    for (JsonNode value : node) {
      if (value.isObject()) {
        keys.problem("rope_parameters by layer type are not supported");
        break;
      }
    }
    boolean neox = type.equals("gpt_neox");
    double base = base(keys, scaling, neox, newer);
    int dimensions = dimensions(keys, scaling, neox, newer, headDim);
    String scheme = scaling.text("rope_type", scaling.text("type", "default"));
    double factor = scheme.equals("default") ? 1 : scaling.requiredPositive("factor");
    float[] inverse = RotaryFrequencies.unscaled(base, dimensions);
    double attention = 1;
    int positions = maxPositions;
    switch (scheme) {
      case "default", "dynamic" -> {}
      case "linear" -> inverse = RotaryFrequencies.linear(inverse, factor);
      case "llama3" -> {
        double low = scaling.requiredPositive("low_freq_factor");
        double high = scaling.requiredPositive("high_freq_factor");
        int original =
            scaling.required(
                "original_max_position_embeddings", 1, HuggingFaceConfig.MAX_POSITIONS);
        if (high <= low) {
          keys.problem("rope scaling has high_freq_factor <= low_freq_factor");
        }
        inverse = RotaryFrequencies.llama3(inverse, factor, low, high, original);
      }
      case "yarn" -> {
        int original =
            scaling.integer(
                "original_max_position_embeddings",
                maxPositions,
                1,
                HuggingFaceConfig.MAX_POSITIONS);
        inverse =
            RotaryFrequencies.yarn(
                base,
                dimensions,
                factor,
                original,
                scaling.positive("beta_fast", 32),
                scaling.positive("beta_slow", 1),
                scaling.flag("truncate", true));
        attention = yarnAttention(scaling, factor);
        double stretched = Math.min(factor * original, HuggingFaceConfig.MAX_POSITIONS);
        positions = Math.max(maxPositions, (int) stretched);
      }
      default ->
          keys.problem(
              "rope scaling of type '"
                  + SafetensorsFile.printable(scheme)
                  + "' is not supported; default, linear, dynamic, llama3 and yarn are");
    }
    return new Scaled(
        new Rotary(dimensions, RotaryFrequencies.asList(inverse), attention, false), positions);
  }

  private static double base(ConfigKeys keys, ConfigKeys scaling, boolean neox, boolean newer) {
    String older = neox && keys.isSet("rotary_emb_base") ? "rotary_emb_base" : "rope_theta";
    double base = keys.positive(older, 10_000);
    return newer ? scaling.positive("rope_theta", base) : base;
  }

  private static int dimensions(
      ConfigKeys keys, ConfigKeys scaling, boolean neox, boolean newer, int headDim) {
    String older = neox && keys.isSet("rotary_pct") ? "rotary_pct" : "partial_rotary_factor";
    double part = keys.positive(older, neox ? 0.25 : 1);
    if (newer) {
      part = scaling.positive("partial_rotary_factor", part);
    }
    int dimensions = (int) (headDim * part);
    if (part > 1 || dimensions < 2 || dimensions % 2 != 0) {
      keys.problem(
          "partial rotary factor "
              + part
              + " of heads of width "
              + headDim
              + " gives "
              + dimensions
              + " dimensions, not an even number in [2, "
              + headDim
              + "]");
      return 2;
    }
    return dimensions;
  }

  private static double yarnAttention(ConfigKeys scaling, double factor) {
    if (scaling.isSet("attention_factor")) {
      return scaling.positive("attention_factor", 1);
    }
    double all = scaling.isSet("mscale_all_dim") ? scaling.node("mscale_all_dim").asDouble() : 0;
    double own = scaling.isSet("mscale") ? scaling.node("mscale").asDouble() : 0;
    if (own != 0 && all != 0) {
      return RotaryFrequencies.yarnAttention(factor, own)
          / RotaryFrequencies.yarnAttention(factor, all);
    }
    return RotaryFrequencies.yarnAttention(factor, 1);
  }
}
