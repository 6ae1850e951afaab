package dev.whence.engine.weights;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The tensors that a config calls for, by name and shape, held against what the files have. */
public final class ExpectedTensors {
  private ExpectedTensors() {}

  /**
   * Refuses a model whose tensors are not exactly those of its config.
   *
   * @throws EngineException of kind MODEL that lists every missing, unexpected and misshapen tensor
   */
  static void check(ModelConfig config, Map<String, TensorInfo> tensors, String origin) {
    Map<String, List<Long>> expected = of(config);
    List<String> problems = new ArrayList<>();
    expected.forEach(
        (name, shape) -> {
          TensorInfo info = tensors.get(name);
          if (info == null) {
            problems.add("'" + name + "' is missing");
          } else if (!info.shape().equals(shape)) {
            problems.add("'" + name + "' has shape " + info.shape() + ", the config says " + shape);
          }
        });
    for (String name : tensors.keySet()) {
      if (!expected.containsKey(name) && !(config.tiedEmbeddings() && name.equals(head(config)))) {
        problems.add("'" + SafetensorsFile.printable(name) + "' is not part of such a model");
      }
    }
    if (!problems.isEmpty()) {
      throw new EngineException(
          Kind.MODEL, origin + ": config and weights disagree: " + Contradictions.list(problems));
    }
  }

  private static String head(ModelConfig config) {
    return config.isGptNeoX() ? "embed_out.weight" : "lm_head.weight";
  }

  /** Shapes by Hugging Face name, in name order. */
  public static Map<String, List<Long>> of(ModelConfig config) {
    Map<String, List<Long>> shapes = new TreeMap<>();
    long vocabulary = config.vocabularySize();
    long d = config.hiddenSize();
    long inner = config.intermediateSize();
    long queries = (long) config.heads() * config.headDim();
    long keys = (long) config.keyValueHeads() * config.headDim();
    if (!config.tiedEmbeddings()) {
      shapes.put(head(config), List.of(vocabulary, d));
    }
    if (config.isGptNeoX()) {
      shapes.put("gpt_neox.embed_in.weight", List.of(vocabulary, d));
      norm(shapes, "gpt_neox.final_layer_norm", d);
      for (int layer = 0; layer < config.layers(); layer++) {
        String at = "gpt_neox.layers." + layer + ".";
        norm(shapes, at + "input_layernorm", d);
        norm(shapes, at + "post_attention_layernorm", d);
        linear(shapes, at + "attention.query_key_value", 3 * queries, d, config.qkvBias());
        linear(shapes, at + "attention.dense", d, queries, config.outputBias());
        linear(shapes, at + "mlp.dense_h_to_4h", inner, d, config.mlpBias());
        linear(shapes, at + "mlp.dense_4h_to_h", d, inner, config.mlpBias());
      }
      return shapes;
    }
    shapes.put("model.embed_tokens.weight", List.of(vocabulary, d));
    shapes.put("model.norm.weight", List.of(d));
    for (int layer = 0; layer < config.layers(); layer++) {
      String at = "model.layers." + layer + ".";
      shapes.put(at + "input_layernorm.weight", List.of(d));
      shapes.put(at + "post_attention_layernorm.weight", List.of(d));
      ModelConfig.Ranks ranks = config.ranks(layer);
      int input = ranks.attentionInput();
      first(shapes, at + "self_attn.qkv_proj", d, input);
      second(shapes, at + "self_attn.q_proj", queries, d, input, config.qkvBias());
      second(shapes, at + "self_attn.k_proj", keys, d, input, config.qkvBias());
      second(shapes, at + "self_attn.v_proj", keys, d, input, config.qkvBias());
      int output = ranks.attentionOutput();
      first(shapes, at + "self_attn.o_proj", queries, output);
      second(shapes, at + "self_attn.o_proj", d, queries, output, config.outputBias());
      if (config.queryKeyNorm()) {
        shapes.put(at + "self_attn.q_norm.weight", List.of((long) config.headDim()));
        shapes.put(at + "self_attn.k_norm.weight", List.of((long) config.headDim()));
      }
      first(shapes, at + "mlp.gate_up_proj", d, ranks.mlpInput());
      second(shapes, at + "mlp.gate_proj", inner, d, ranks.mlpInput(), config.mlpBias());
      second(shapes, at + "mlp.up_proj", inner, d, ranks.mlpInput(), config.mlpBias());
      first(shapes, at + "mlp.down_proj", inner, ranks.mlpOutput());
      second(shapes, at + "mlp.down_proj", d, inner, ranks.mlpOutput(), config.mlpBias());
    }
    return shapes;
  }

  private static void norm(Map<String, List<Long>> shapes, String name, long width) {
    shapes.put(name + ".weight", List.of(width));
    shapes.put(name + ".bias", List.of(width));
  }

  /** The factor A [rank, in] of a product; none where rank is 0. */
  private static void first(Map<String, List<Long>> shapes, String name, long in, int rank) {
    if (rank > 0) {
      shapes.put(name + ".weight_a", List.of((long) rank, in));
    }
  }

  /** The factor B [out, rank], or the matrix where rank is 0. */
  private static void second(
      Map<String, List<Long>> shapes, String name, long out, long in, int rank, boolean bias) {
    linear(shapes, name, out, in, bias);
    if (rank > 0) {
      shapes.remove(name + ".weight");
      shapes.put(name + ".weight_b", List.of(out, (long) rank));
    }
  }

  private static void linear(
      Map<String, List<Long>> shapes, String name, long out, long in, boolean bias) {
    shapes.put(name + ".weight", List.of(out, in));
    if (bias) {
      shapes.put(name + ".bias", List.of(out));
    }
  }
}
