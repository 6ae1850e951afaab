package dev.whence.engine.kernel;

import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.ModelConfig.Rotary;
import dev.whence.engine.weights.TensorInfo;
import dev.whence.engine.weights.WeightSource;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;

/** A tiny model with random weights in memory, named as Hugging Face names them. */
final class RandomModel implements WeightSource {
  private final ModelConfig config;
  private final Map<String, TensorInfo> infos = new TreeMap<>();
  private final Map<String, float[]> values = new TreeMap<>();
  private final Random random;

  private RandomModel(ModelConfig config, long seed) {
    this.config = config;
    this.random = new Random(seed);
  }

  /** A Llama without biases, norms over heads and sliding window. */
  static ModelConfig plainLlama(
      int vocabulary,
      int hidden,
      int layers,
      int heads,
      int keyValueHeads,
      int headDim,
      int intermediate,
      Rotary rotary,
      int positions,
      boolean tied) {
    return new ModelConfig(
        "llama",
        vocabulary,
        hidden,
        layers,
        heads,
        keyValueHeads,
        headDim,
        intermediate,
        1e-5,
        "silu",
        rotary,
        positions,
        0,
        tied,
        false,
        false,
        false,
        false,
        false,
        -1,
        List.of());
  }

  static RandomModel llama(ModelConfig c, long seed) {
    RandomModel m = new RandomModel(c, seed);
    int d = c.hiddenSize();
    int q = c.heads() * c.headDim();
    int kv = c.keyValueHeads() * c.headDim();
    int inner = c.intermediateSize();
    m.matrix("model.embed_tokens.weight", c.vocabularySize(), d, 1);
    if (!c.tiedEmbeddings()) {
      m.matrix("lm_head.weight", c.vocabularySize(), d, 2.5);
    }
    m.vector("model.norm.weight", d, 1);
    for (int l = 0; l < c.layers(); l++) {
      String layer = "model.layers." + l + ".";
      String attention = layer + "self_attn.";
      m.vector(layer + "input_layernorm.weight", d, 1);
      m.vector(layer + "post_attention_layernorm.weight", d, 1);
      m.matrix(attention + "q_proj.weight", q, d, 2);
      m.matrix(attention + "k_proj.weight", kv, d, 2);
      m.matrix(attention + "v_proj.weight", kv, d, 1);
      m.matrix(attention + "o_proj.weight", d, q, 1);
      if (c.qkvBias()) {
        m.vector(attention + "q_proj.bias", q, 0);
        m.vector(attention + "k_proj.bias", kv, 0);
        m.vector(attention + "v_proj.bias", kv, 0);
      }
      if (c.queryKeyNorm()) {
        m.vector(attention + "q_norm.weight", c.headDim(), 1);
        m.vector(attention + "k_norm.weight", c.headDim(), 1);
      }
      m.matrix(layer + "mlp.gate_proj.weight", inner, d, 1);
      m.matrix(layer + "mlp.up_proj.weight", inner, d, 1);
      m.matrix(layer + "mlp.down_proj.weight", d, inner, 1);
    }
    return m;
  }

  static RandomModel gptNeoX(ModelConfig c, long seed) {
    RandomModel m = new RandomModel(c, seed);
    int d = c.hiddenSize();
    int inner = c.intermediateSize();
    m.matrix("gpt_neox.embed_in.weight", c.vocabularySize(), d, 1);
    m.matrix("embed_out.weight", c.vocabularySize(), d, 2.5);
    m.norm("gpt_neox.final_layer_norm", d);
    for (int l = 0; l < c.layers(); l++) {
      String layer = "gpt_neox.layers." + l + ".";
      m.norm(layer + "input_layernorm", d);
      m.norm(layer + "post_attention_layernorm", d);
      m.matrix(layer + "attention.query_key_value.weight", 3 * d, d, 1.6);
      m.vector(layer + "attention.query_key_value.bias", 3 * d, 0);
      m.matrix(layer + "attention.dense.weight", d, d, 1);
      m.vector(layer + "attention.dense.bias", d, 0);
      m.matrix(layer + "mlp.dense_h_to_4h.weight", inner, d, 1);
      m.vector(layer + "mlp.dense_h_to_4h.bias", inner, 0);
      m.matrix(layer + "mlp.dense_4h_to_h.weight", d, inner, 1);
      m.vector(layer + "mlp.dense_4h_to_h.bias", d, 0);
    }
    return m;
  }

  ModelConfig config() {
    return config;
  }

  float[] get(String name) {
    float[] tensor = values.get(name);
    return tensor == null ? new float[0] : tensor;
  }

  private void matrix(String name, int rows, int columns, double gain) {
    fill(name, List.of((long) rows, (long) columns), 0, gain / Math.sqrt(columns));
  }

  private void vector(String name, int length, double centre) {
    fill(name, List.of((long) length), centre, 0.3);
  }

  private void norm(String name, int length) {
    vector(name + ".weight", length, 1);
    vector(name + ".bias", length, 0);
  }

  private void fill(String name, List<Long> shape, double centre, double deviation) {
    TensorInfo info = new TensorInfo(name, ElementType.F32, shape);
    float[] tensor = new float[(int) info.elements()];
    for (int i = 0; i < tensor.length; i++) {
      tensor[i] = (float) (centre + deviation * random.nextGaussian());
    }
    infos.put(name, info);
    values.put(name, tensor);
  }

  @Override
  public Map<String, TensorInfo> tensors() {
    return infos;
  }

  @Override
  public void read(String name, long offset, ByteBuffer target) {
    ByteBuffer little = target.order(ByteOrder.LITTLE_ENDIAN);
    int from = (int) offset / 4;
    int count = target.remaining() / 4;
    for (int i = 0; i < count; i++) {
      little.putFloat(values.get(name)[from + i]);
    }
  }

  @Override
  public void close() {}
}
