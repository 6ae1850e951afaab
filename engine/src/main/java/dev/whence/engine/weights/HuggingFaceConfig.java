package dev.whence.engine.weights;

import com.fasterxml.jackson.databind.JsonNode;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.text.NativeTokenizer;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * config.json to {@link ModelConfig}, with the defaults that transformers 4.57 has for each model
 * type. A key that would change the maths is implemented here or refused by name; both the older
 * spelling ({@code rope_theta}, {@code rope_scaling}) and the newer ({@code rope_parameters}) are
 * read.
 */
final class HuggingFaceConfig {
  /** Our own key. */
  static final String RANKS = "whence_ranks";

  static final int MAX_VOCABULARY = NativeTokenizer.MAX_IDS;
  static final int MAX_WIDTH = 1 << 20;

  /** Of a head: the widest in the wild have 512. */
  static final int MAX_HEAD_WIDTH = 1024;

  static final int MAX_LAYERS = 4096;
  static final int MAX_POSITIONS = 1 << 28;

  private static final Map<String, String> ARCHITECTURES =
      Map.of(
          "llama", "LlamaForCausalLM",
          "mistral", "MistralForCausalLM",
          "qwen2", "Qwen2ForCausalLM",
          "qwen3", "Qwen3ForCausalLM",
          "gpt_neox", "GPTNeoXForCausalLM");

  /** Keys of relatives of these models that change the maths; null, false and {} are harmless. */
  private static final List<String> REFUSED =
      List.of(
          "alibi",
          "attention_multiplier",
          "attn_logit_softcapping",
          "attn_temperature_tuning",
          "auto_map",
          "clip_qkv",
          "embedding_multiplier",
          "final_logit_softcapping",
          "kv_lora_rank",
          "logit_scale",
          "logits_scaling",
          "no_rope_layers",
          "num_experts",
          "num_local_experts",
          "q_lora_rank",
          "qk_layernorm",
          "quantization_config",
          "query_pre_attn_scalar",
          "residual_multiplier",
          "use_mrope",
          "use_qk_norm",
          "vision_config");

  private HuggingFaceConfig() {}

  /**
   * Reads a config.
   *
   * @param json config.json
   * @param generation generation_config.json, or a missing node: it may name more end tokens
   * @param origin of the config, for messages
   */
  static ModelConfig read(JsonNode json, JsonNode generation, String origin) {
    ConfigKeys keys = new ConfigKeys(json);
    String type = keys.text("model_type", "");
    if (!ARCHITECTURES.containsKey(type)) {
      throw new EngineException(
          Kind.MODEL,
          origin
              + ": model_type '"
              + SafetensorsFile.printable(type)
              + "' is not one of "
              + ARCHITECTURES.keySet().stream().sorted().toList());
    }
    for (JsonNode architecture : json.path("architectures")) {
      if (!architecture.asText().equals(ARCHITECTURES.get(type))) {
        keys.problem(
            "architectures has '"
                + SafetensorsFile.printable(architecture.asText())
                + "', not "
                + ARCHITECTURES.get(type));
      }
    }
    for (String key : REFUSED) {
      JsonNode value = json.path(key);
      boolean harmless =
          value.isMissingNode()
              || value.isNull()
              || (value.isBoolean() && !value.booleanValue())
              || (value.isContainerNode() && value.isEmpty());
      if (!harmless) {
        keys.problem(key + " is set and not supported");
      }
    }
    ModelConfig config = read(type, keys, new ConfigKeys(generation, "", keys.problems()));
    if (!keys.problems().isEmpty()) {
      throw new EngineException(Kind.MODEL, origin + ": " + Contradictions.list(keys.problems()));
    }
    return config;
  }

  private static ModelConfig read(String type, ConfigKeys keys, ConfigKeys generation) {
    boolean neox = type.equals("gpt_neox");
    int vocabulary = keys.required("vocab_size", 1, MAX_VOCABULARY);
    int hidden = keys.required("hidden_size", 1, MAX_WIDTH);
    int layers = keys.required("num_hidden_layers", 1, MAX_LAYERS);
    int heads = keys.required("num_attention_heads", 1, MAX_WIDTH);
    int keyValueHeads = neox ? heads : keyValueHeads(type, keys, heads);
    if (heads % keyValueHeads != 0) {
      keys.problem(
          "num_attention_heads "
              + heads
              + " is not a multiple of num_key_value_heads "
              + keyValueHeads);
    }
    int headDim = headDim(type, keys, hidden, heads);
    int intermediate = keys.required("intermediate_size", 1, MAX_WIDTH);
    int maxPositions =
        keys.integer("max_position_embeddings", defaultPositions(type), 1, MAX_POSITIONS);
    boolean attentionBias =
        switch (type) {
          case "qwen2" -> true;
          case "mistral" -> false;
          case "gpt_neox" -> keys.flag("attention_bias", true);
          default -> keys.flag("attention_bias", false);
        };
    if (type.equals("mistral") && keys.flag("attention_bias", false)) {
      keys.problem("attention_bias is set, which a mistral model does not have");
    }
    boolean mlpBias = neox || (type.equals("llama") && keys.flag("mlp_bias", false));
    if (!neox && !type.equals("llama") && keys.flag("mlp_bias", false)) {
      keys.problem("mlp_bias is set, which a " + type + " model does not have");
    }
    RotaryConfig.Scaled rotary = RotaryConfig.read(type, keys, headDim, maxPositions);
    Set<Integer> ends = new LinkedHashSet<>(keys.ids("eos_token_id", vocabulary));
    ends.addAll(generation.ids("eos_token_id", vocabulary));
    List<Integer> begin = keys.ids("bos_token_id", vocabulary);
    return new ModelConfig(
        type,
        vocabulary,
        hidden,
        layers,
        heads,
        keyValueHeads,
        headDim,
        intermediate,
        neox ? keys.positive("layer_norm_eps", 1e-5) : keys.positive("rms_norm_eps", 1e-6),
        activation(keys, neox ? "gelu" : "silu"),
        rotary.rotary(),
        rotary.maxPositions(),
        slidingWindow(type, keys, layers),
        keys.flag("tie_word_embeddings", false),
        attentionBias,
        attentionBias && !type.equals("qwen2"),
        mlpBias,
        type.equals("qwen3"),
        neox && keys.flag("use_parallel_residual", true),
        begin.isEmpty() ? -1 : begin.get(0),
        new ArrayList<>(ends),
        ranks(type, keys, layers));
  }

  /** Of a model that 'whence compress' made: four ranks for each layer. */
  private static List<ModelConfig.Ranks> ranks(String type, ConfigKeys keys, int layers) {
    if (!keys.isSet(RANKS)) {
      return List.of();
    }
    if (type.equals("gpt_neox")) {
      keys.problem(RANKS + " is set, which a gpt_neox model does not have");
      return List.of();
    }
    List<ModelConfig.Ranks> ranks = new ArrayList<>();
    for (JsonNode layer : keys.node(RANKS)) {
      int[] four = new int[4];
      for (int i = 0; i < four.length; i++) {
        JsonNode rank = layer.path(i);
        boolean whole = rank.isIntegralNumber() && rank.canConvertToInt();
        four[i] = whole ? rank.intValue() : -1;
        if (layer.size() != four.length || four[i] < 0 || four[i] > MAX_WIDTH) {
          keys.problem(
              RANKS
                  + " of layer "
                  + ranks.size()
                  + " is not four whole numbers from 0 to "
                  + MAX_WIDTH);
          return List.of();
        }
      }
      ranks.add(new ModelConfig.Ranks(four[0], four[1], four[2], four[3]));
    }
    if (ranks.size() != layers) {
      keys.problem(RANKS + " has " + ranks.size() + " entries for " + layers + " layers");
      return List.of();
    }
    return ranks;
  }

  private static int keyValueHeads(String type, ConfigKeys keys, int heads) {
    int absent =
        switch (type) {
          case "mistral" -> 8;
          case "qwen2", "qwen3" -> 32;
          default -> heads;
        };
    // null means: as many as query heads; only an absent key takes the class's default.
    int fallback = keys.has("num_key_value_heads") ? heads : absent;
    return keys.integer("num_key_value_heads", fallback, 1, MAX_WIDTH);
  }

  private static int headDim(String type, ConfigKeys keys, int hidden, int heads) {
    boolean own = !type.equals("gpt_neox") && keys.isSet("head_dim");
    if (!own && type.equals("qwen3") && !keys.has("head_dim")) {
      return 128;
    }
    if (!own && hidden % heads != 0) {
      keys.problem("hidden_size " + hidden + " is not a multiple of num_attention_heads " + heads);
    }
    int headDim = keys.integer("head_dim", Math.max(1, hidden / heads), 1, MAX_WIDTH);
    if ((type.equals("gpt_neox") || type.equals("qwen2")) && headDim != hidden / heads) {
      keys.problem("head_dim is " + headDim + ", which a " + type + " model does not have");
    }
    if (headDim % 2 != 0) {
      keys.problem("the width of a head is " + headDim + ", not even");
    }
    if (headDim > MAX_HEAD_WIDTH) {
      keys.problem("the width of a head is " + headDim + ", more than " + MAX_HEAD_WIDTH);
      return MAX_HEAD_WIDTH;
    }
    return headDim;
  }

  private static int defaultPositions(String type) {
    return switch (type) {
      case "mistral" -> 4096 * 32;
      case "qwen2", "qwen3" -> 32768;
      default -> 2048;
    };
  }

  static String activation(ConfigKeys keys, String fallback) {
    String name = keys.text("hidden_act", fallback);
    return switch (name) {
      case "silu", "swish" -> "silu";
      case "gelu" -> "gelu";
      // gelu_new and gelu_fast write the same tanh formula out.
      case "gelu_new", "gelu_pytorch_tanh", "gelu_fast" -> "gelu_tanh";
      default -> {
        keys.problem(
            "hidden_act '" + SafetensorsFile.printable(name) + "' is not silu, gelu or gelu_tanh");
        yield fallback;
      }
    };
  }

  private static int slidingWindow(String type, ConfigKeys keys, int layers) {
    return switch (type) {
      case "mistral" ->
          keys.has("sliding_window") ? keys.integer("sliding_window", 0, 1, MAX_POSITIONS) : 4096;
      case "qwen2", "qwen3" -> qwenWindow(keys, layers);
      default -> {
        if (keys.isSet("sliding_window")) {
          keys.problem("sliding_window is set, which a " + type + " model does not have");
        }
        yield 0;
      }
    };
  }

  private static int qwenWindow(ConfigKeys keys, int layers) {
    boolean use = keys.flag("use_sliding_window", false);
    int window = keys.has("sliding_window") ? 0 : 4096;
    window = use ? keys.integer("sliding_window", window, 1, MAX_POSITIONS) : 0;
    Set<String> kinds;
    if (keys.isSet("layer_types")) {
      List<String> types = new ArrayList<>();
      keys.node("layer_types").forEach(node -> types.add(node.asText()));
      if (types.size() != layers) {
        keys.problem("layer_types has " + types.size() + " entries for " + layers + " layers");
      }
      kinds = types.stream().collect(Collectors.toSet());
    } else {
      int full = keys.integer("max_window_layers", 28, 0, Integer.MAX_VALUE);
      if (window == 0 || full >= layers) {
        return 0;
      }
      kinds =
          full == 0 ? Set.of("sliding_attention") : Set.of("sliding_attention", "full_attention");
    }
    if (kinds.equals(Set.of("full_attention"))) {
      return 0;
    }
    if (kinds.equals(Set.of("sliding_attention")) && window > 0) {
      return window;
    }
    keys.problem(
        "use_sliding_window, max_window_layers and layer_types give some layers a window and"
            + " others none, which is not supported");
    return 0;
  }
}
