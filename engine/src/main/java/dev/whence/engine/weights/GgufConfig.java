package dev.whence.engine.weights;

import dev.whence.engine.weights.ModelConfig.Rotary;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * GGUF metadata to {@link ModelConfig}. Biases and head ties are what the tensors say: GGUF has no
 * keys for them. The file's architecture {@code llama} also covers mistral, which differs only in a
 * sliding window that GGUF names by a key (see {@link #doubtfulWindow} where the key is missing).
 */
final class GgufConfig {
  private static final Map<String, String> TYPES =
      Map.of("llama", "llama", "qwen2", "qwen2", "qwen3", "qwen3", "gptneox", "gpt_neox");

  /** Keys that change the maths of relatives of these architectures, after the architecture. */
  private static final List<String> REFUSED =
      List.of(
          "expert_count",
          "expert_used_count",
          "attention.clamp_kqv",
          "attention.max_alibi_bias",
          "attention.scale",
          "attn_logit_softcapping",
          "final_logit_softcapping",
          "logit_scale",
          "residual_scale",
          "embedding_scale");

  private static final int MISTRAL_WINDOW = 4096;

  private GgufConfig() {}

  static String architecture(GgufMetadata metadata) {
    String architecture = metadata.requiredText("general.architecture");
    if (!TYPES.containsKey(architecture)) {
      throw metadata.refuse(
          "architecture '"
              + SafetensorsFile.printable(architecture)
              + "' is not one of "
              + TYPES.keySet().stream().sorted().toList());
    }
    return architecture;
  }

  static ModelConfig read(GgufFile file) {
    GgufMetadata metadata = file.metadata();
    String architecture = architecture(metadata);
    String prefix = architecture + ".";
    boolean neox = architecture.equals("gptneox");
    for (String key : REFUSED) {
      if (metadata.number(prefix + key).filter(value -> value != 0).isPresent()) {
        throw metadata.refuse(prefix + key + " is set and not supported");
      }
    }
    if (architecture.equals("llama") && metadata.has(prefix + "expert_count")) {
      metadata.size(prefix + "expert_count", 0, 0);
    }
    int hidden = metadata.size(prefix + "embedding_length", 1, HuggingFaceConfig.MAX_WIDTH);
    int layers = metadata.size(prefix + "block_count", 1, HuggingFaceConfig.MAX_LAYERS);
    int heads = metadata.size(prefix + "attention.head_count", 1, HuggingFaceConfig.MAX_WIDTH);
    int keyValueHeads =
        metadata.has(prefix + "attention.head_count_kv")
            ? metadata.size(prefix + "attention.head_count_kv", 1, heads)
            : heads;
    if (heads % keyValueHeads != 0) {
      throw metadata.refuse(heads + " heads are not a multiple of " + keyValueHeads + " kv heads");
    }
    int headDim = headDim(metadata, prefix, hidden, heads);
    int maxPositions = metadata.size(prefix + "context_length", 1, HuggingFaceConfig.MAX_POSITIONS);
    int vocabulary = vocabulary(file);
    boolean attentionBias =
        file.entries().containsKey(neox ? "blk.0.attn_qkv.bias" : "blk.0.attn_q.bias");
    int window =
        metadata.has(prefix + "attention.sliding_window")
            ? metadata.size(prefix + "attention.sliding_window", 0, HuggingFaceConfig.MAX_POSITIONS)
            : 0;
    if (window > 0 && !architecture.equals("llama")) {
      throw metadata.refuse(prefix + "attention.sliding_window is set and not supported");
    }
    String epsilon =
        prefix + (neox ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon");
    double normEpsilon = metadata.number(epsilon).orElseThrow(() -> metadata.missing(epsilon));
    if (!(normEpsilon > 0 && normEpsilon < 1)) {
      throw metadata.refuse(epsilon + " is " + normEpsilon + ", not in (0, 1)");
    }
    return new ModelConfig(
        java.util.Objects.requireNonNull(TYPES.get(architecture)),
        vocabulary,
        hidden,
        layers,
        heads,
        keyValueHeads,
        headDim,
        metadata.size(prefix + "feed_forward_length", 1, HuggingFaceConfig.MAX_WIDTH),
        // The writer stored a float32 of a short decimal number: give the decimal back.
        Double.parseDouble(Float.toString((float) normEpsilon)),
        neox ? "gelu" : "silu",
        rotary(file, prefix, headDim, maxPositions),
        maxPositions,
        window,
        !file.entries().containsKey("output.weight"),
        attentionBias,
        file.entries().containsKey("blk.0.attn_output.bias"),
        file.entries().containsKey("blk.0.ffn_up.bias"),
        architecture.equals("qwen3"),
        neox && metadata.flag(prefix + "use_parallel_residual").orElse(true),
        id(metadata, "tokenizer.ggml.bos_token_id", vocabulary),
        endTokens(metadata, vocabulary));
  }

  /**
   * What to tell about a file that may have lost a sliding window. Mistral 7B v0.1 attends to 4,096
   * tokens; converters of architecture {@code llama} need not write that. Its later versions, which
   * have no window, have another rotary base.
   */
  static Optional<String> doubtfulWindow(GgufMetadata metadata) {
    boolean mistral =
        List.of("general.name", "general.basename").stream()
            .anyMatch(
                key -> metadata.text(key).orElse("").toLowerCase(Locale.ROOT).contains("mistral"));
    boolean llama = metadata.text("general.architecture").orElse("").equals("llama");
    double base = metadata.number("llama.rope.freq_base").orElse(10_000.0);
    boolean longer = metadata.number("llama.context_length").orElse(0.0) > MISTRAL_WINDOW;
    if (!llama
        || !mistral
        || base != 10_000
        || !longer
        || metadata.has("llama.attention.sliding_window")) {
      return Optional.empty();
    }
    return Optional.of(
        metadata.path()
            + " looks like Mistral 7B v0.1, which attends to "
            + MISTRAL_WINDOW
            + " tokens, but the file does not say so (llama.attention.sliding_window): longer"
            + " prompts are scored with attention to all tokens. Use the Hugging Face directory"
            + " for them.");
  }

  private static int headDim(GgufMetadata metadata, String prefix, int hidden, int heads) {
    String key = prefix + "attention.key_length";
    if (!metadata.has(key) && hidden % heads != 0) {
      throw metadata.refuse("width " + hidden + " is not a multiple of " + heads + " heads");
    }
    int headDim =
        metadata.has(key) ? metadata.size(key, 2, HuggingFaceConfig.MAX_WIDTH) : hidden / heads;
    if (headDim % 2 != 0) {
      throw metadata.refuse("the width of a head is " + headDim + ", not even");
    }
    if (headDim > HuggingFaceConfig.MAX_HEAD_WIDTH) {
      throw metadata.refuse(
          "the width of a head is " + headDim + ", more than " + HuggingFaceConfig.MAX_HEAD_WIDTH);
    }
    String values = prefix + "attention.value_length";
    if (metadata.has(values) && metadata.size(values, 1, HuggingFaceConfig.MAX_WIDTH) != headDim) {
      throw metadata.refuse(values + " differs from the width of keys");
    }
    return headDim;
  }

  private static int vocabulary(GgufFile file) {
    GgufFile.Entry embedding = file.entries().get("token_embd.weight");
    if (embedding == null || embedding.shape().size() != 2) {
      throw file.file().refuse("it has no matrix token_embd.weight");
    }
    long rows = embedding.shape().get(1);
    if (rows > HuggingFaceConfig.MAX_VOCABULARY) {
      throw file.file().refuse("token_embd.weight has " + rows + " rows");
    }
    return (int) rows;
  }

  private static Rotary rotary(GgufFile file, String prefix, int headDim, int maxPositions) {
    GgufMetadata metadata = file.metadata();
    String dimensionKey = prefix + "rope.dimension_count";
    int dimensions = metadata.has(dimensionKey) ? metadata.size(dimensionKey, 2, headDim) : headDim;
    if (dimensions % 2 != 0) {
      throw metadata.refuse(dimensionKey + " is odd");
    }
    if (prefix.equals("llama.") && dimensions != headDim) {
      // the rows of such a file's projections are in an order for whole heads (GgufWeights)
      throw metadata.refuse(
          dimensionKey + " is " + dimensions + ", not the " + headDim + " of a head");
    }
    double base = metadata.number(prefix + "rope.freq_base").orElse(10_000.0);
    if (!(base > 0) || Double.isInfinite(base)) {
      throw metadata.refuse(prefix + "rope.freq_base is not a positive number");
    }
    float[] inverse = RotaryFrequencies.unscaled(base, dimensions);
    GgufFile.Entry factors = file.entries().get("rope_freqs.weight");
    if (factors != null) {
      inverse = RotaryFrequencies.divided(inverse, factors(file, factors, inverse.length));
    }
    double attention = 1;
    String scheme = metadata.text(prefix + "rope.scaling.type").orElse("linear"); // llama.cpp's
    double factor =
        metadata
            .number(prefix + "rope.scaling.factor")
            .or(() -> metadata.number(prefix + "rope.scale_linear"))
            .orElse(1.0);
    if (!(factor > 0) || Double.isInfinite(factor)) {
      throw metadata.refuse(prefix + "rope.scaling.factor is not a positive number");
    }
    switch (scheme) {
      case "none" -> {}
      case "linear" -> inverse = RotaryFrequencies.linear(inverse, factor);
      case "yarn" -> {
        String originalKey = prefix + "rope.scaling.original_context_length";
        int original =
            metadata.has(originalKey)
                ? metadata.size(originalKey, 1, HuggingFaceConfig.MAX_POSITIONS)
                : maxPositions;
        if (factors != null) {
          throw metadata.refuse("rope_freqs.weight together with yarn scaling is not supported");
        }
        inverse = RotaryFrequencies.yarn(base, dimensions, factor, original, 32, 1, true);
        attention = RotaryFrequencies.yarnAttention(factor, 1);
      }
      default ->
          throw metadata.refuse(
              prefix
                  + "rope.scaling.type '"
                  + SafetensorsFile.printable(scheme)
                  + "' is not supported; none, linear and yarn are");
    }
    Set<String> known = Set.of("type", "factor", "original_context_length", "finetuned");
    String scaling = prefix + "rope.scaling.";
    for (String key : metadata.values().keySet()) {
      if (key.startsWith(scaling) && !known.contains(key.substring(scaling.length()))) {
        throw metadata.refuse(SafetensorsFile.printable(key) + " is set and not supported");
      }
    }
    return new Rotary(dimensions, RotaryFrequencies.asList(inverse), attention, false);
  }

  private static float[] factors(GgufFile file, GgufFile.Entry entry, int expected) {
    if (entry.type() != GgufType.F32 || !entry.shape().equals(List.of((long) expected))) {
      throw file.file()
          .refuse(
              entry.position(),
              "rope_freqs.weight is "
                  + entry.type()
                  + " of shape "
                  + entry.shape()
                  + ", not "
                  + expected
                  + " floats");
    }
    ByteBuffer bytes = ByteBuffer.allocate(4 * expected).order(ByteOrder.LITTLE_ENDIAN);
    file.file().read(entry.position(), bytes);
    float[] factors = new float[expected];
    for (int i = 0; i < expected; i++) {
      factors[i] = bytes.getFloat(4 * i);
      if (!(factors[i] > 0) || Float.isInfinite(factors[i])) {
        throw file.file()
            .refuse(entry.position() + 4L * i, "a factor of rope_freqs.weight is " + factors[i]);
      }
    }
    return factors;
  }

  private static int id(GgufMetadata metadata, String key, int vocabulary) {
    return metadata.has(key) ? metadata.size(key, 0, vocabulary - 1L) : -1;
  }

  private static List<Integer> endTokens(GgufMetadata metadata, int vocabulary) {
    Set<Integer> ends = new LinkedHashSet<>();
    for (String key : List.of("eos_token_id", "eot_token_id", "eom_token_id")) {
      int id = id(metadata, "tokenizer.ggml." + key, vocabulary);
      if (id >= 0) {
        ends.add(id);
      }
    }
    return new ArrayList<>(ends);
  }
}
