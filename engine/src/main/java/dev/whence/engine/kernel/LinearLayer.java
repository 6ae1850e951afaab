package dev.whence.engine.kernel;

import dev.whence.engine.weights.ModelConfig;
import java.util.ArrayList;
import java.util.List;

/**
 * A linear layer of a decoder block, {@code y = W x + b}, as curvature and gradients see it: the
 * projections for queries, keys and values are layers of their own, also where a model's files keep
 * them in one matrix, and so are gate and up.
 *
 * @param name the module as Hugging Face names it, for example {@code
 *     model.layers.0.self_attn.q_proj}; of GPT-NeoX's joined projection with {@code .q}, {@code .k}
 *     or {@code .v} after it
 * @param inputs columns of W, and one more where there is a bias: its input is 1
 * @param outputs rows of W
 * @param bias whether there is one
 * @param product which matrix product of the model it is part of; layers of one product have the
 *     same inputs
 * @param part its place in the product
 */
public record LinearLayer(
    String name, int inputs, int outputs, boolean bias, int product, int part) {

  /** All linear layers of the blocks, in the order of the computation. */
  public static List<LinearLayer> of(ModelConfig config) {
    List<LinearLayer> layers = new ArrayList<>();
    int d = config.hiddenSize();
    int queries = config.heads() * config.headDim();
    int keys = config.keyValueHeads() * config.headDim();
    int inner = config.intermediateSize();
    for (int l = 0; l < config.layers(); l++) {
      int product = 4 * l;
      if (config.isGptNeoX()) {
        String layer = "gpt_neox.layers." + l + ".";
        boolean bias = config.qkvBias();
        String joined = layer + "attention.query_key_value.";
        layers.add(layer(joined + "q", d, queries, bias, product, 0));
        layers.add(layer(joined + "k", d, queries, bias, product, 1));
        layers.add(layer(joined + "v", d, queries, bias, product, 2));
        layers.add(
            layer(layer + "attention.dense", queries, d, config.outputBias(), product + 1, 0));
        layers.add(layer(layer + "mlp.dense_h_to_4h", d, inner, config.mlpBias(), product + 2, 0));
        layers.add(layer(layer + "mlp.dense_4h_to_h", inner, d, config.mlpBias(), product + 3, 0));
      } else {
        String layer = "model.layers." + l + ".";
        boolean bias = config.qkvBias();
        layers.add(layer(layer + "self_attn.q_proj", d, queries, bias, product, 0));
        layers.add(layer(layer + "self_attn.k_proj", d, keys, bias, product, 1));
        layers.add(layer(layer + "self_attn.v_proj", d, keys, bias, product, 2));
        layers.add(
            layer(layer + "self_attn.o_proj", queries, d, config.outputBias(), product + 1, 0));
        layers.add(layer(layer + "mlp.gate_proj", d, inner, config.mlpBias(), product + 2, 0));
        layers.add(layer(layer + "mlp.up_proj", d, inner, config.mlpBias(), product + 2, 1));
        layers.add(layer(layer + "mlp.down_proj", inner, d, config.mlpBias(), product + 3, 0));
      }
    }
    return layers;
  }

  /** The head: logits of the vocabulary. It is no layer of a block. */
  public static LinearLayer head(ModelConfig config) {
    return new LinearLayer(
        config.isGptNeoX() ? "embed_out" : "lm_head",
        config.hiddenSize(),
        config.vocabularySize(),
        false,
        4 * config.layers(),
        0);
  }

  /** Whether it belongs to a block's MLP, rather than to its attention. */
  public boolean isMlp() {
    return name.contains(".mlp.");
  }

  /** Elements of its weight, the bias included. */
  public long elements() {
    return (long) inputs * outputs;
  }

  private static LinearLayer layer(
      String name, int columns, int rows, boolean bias, int product, int part) {
    return new LinearLayer(name, bias ? columns + 1 : columns, rows, bias, product, part);
  }

  /** What taps() of the kernel says: see there. */
  static List<Long> taps(ModelConfig config, List<LinearLayer> layers) {
    long[] bits = new long[2 * (4 * config.layers() + 1)];
    for (LinearLayer layer : layers) {
      bits[2 * layer.product()] |= 1L << layer.part();
      bits[2 * layer.product() + 1] = layer.bias() ? 1 : 0;
    }
    List<Long> taps = new ArrayList<>();
    for (long bit : bits) {
      taps.add(bit);
    }
    return taps;
  }
}
