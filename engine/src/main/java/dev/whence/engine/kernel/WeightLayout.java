package dev.whence.engine.kernel;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.TensorInfo;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Which tensors of a model become which weights of a kernel: query, key and value projections are
 * one matrix, gate and up projections another, so that each is one matrix product. The order is
 * written at the top of the kernel texts.
 *
 * @param weights in the kernel's order
 */
record WeightLayout(List<Weight> weights) {

  /**
   * One weight of the kernel.
   *
   * @param shape (rows, columns), or (length) for vectors; empty for one that this model lacks
   * @param norm kept in fp32 whatever the precision: it is small, and meets the fp32 residual
   * @param rotatedHeads how many heads, from row 0 on, are rotated by position: their rows are
   *     interleaved after loading
   * @param pieces what it is made of
   */
  record Weight(List<Long> shape, boolean norm, int rotatedHeads, List<Piece> pieces) {
    long elements() {
      return shape.isEmpty() ? 0 : shape.stream().reduce(1L, Math::multiplyExact);
    }
  }

  /** Rows [sourceRow, sourceRow + rows) of a tensor go to targetRow on. */
  record Piece(String source, long sourceRow, long rows, long targetRow) {}

  WeightLayout {
    weights = List.copyOf(weights);
  }

  static WeightLayout of(ModelConfig config, Map<String, TensorInfo> tensors) {
    Builder builder = new Builder(tensors);
    if (config.isGptNeoX()) {
      gptNeoX(config, builder);
    } else {
      llama(config, builder);
    }
    return new WeightLayout(builder.weights);
  }

  private static void llama(ModelConfig c, Builder b) {
    long d = c.hiddenSize();
    long q = (long) c.heads() * c.headDim();
    long kv = (long) c.keyValueHeads() * c.headDim();
    long inner = c.intermediateSize();
    String embedding = "model.embed_tokens.weight";
    b.matrix(c.vocabularySize(), d, embedding);
    if (!c.tiedEmbeddings()) {
      b.matrix(c.vocabularySize(), d, "lm_head.weight");
    }
    b.norm(d, "model.norm.weight");
    for (int l = 0; l < c.layers(); l++) {
      String layer = "model.layers." + l + ".";
      String attention = layer + "self_attn.";
      String mlp = layer + "mlp.";
      b.norm(d, layer + "input_layernorm.weight");
      ModelConfig.Ranks ranks = c.ranks(l);
      b.stacked(
          columns(d, ranks.attentionInput()),
          c.heads() + c.keyValueHeads(),
          List.of(q, kv, kv),
          attention,
          List.of("q_proj", "k_proj", "v_proj"),
          kind(ranks.attentionInput()));
      if (c.qkvBias()) {
        b.stacked(
            0,
            c.heads() + c.keyValueHeads(),
            List.of(q, kv, kv),
            attention,
            List.of("q_proj", "k_proj", "v_proj"),
            "bias");
      } else {
        b.absent();
      }
      b.optional(c.queryKeyNorm(), () -> b.headNorm(c.headDim(), attention + "q_norm.weight"));
      b.optional(c.queryKeyNorm(), () -> b.headNorm(c.headDim(), attention + "k_norm.weight"));
      int output = ranks.attentionOutput();
      b.matrix(d, columns(q, output), attention + "o_proj." + kind(output));
      b.optional(c.outputBias(), () -> b.vector(d, attention + "o_proj.bias"));
      b.norm(d, layer + "post_attention_layernorm.weight");
      b.stacked(
          columns(d, ranks.mlpInput()),
          0,
          List.of(inner, inner),
          mlp,
          List.of("gate_proj", "up_proj"),
          kind(ranks.mlpInput()));
      b.optional(
          c.mlpBias(),
          () ->
              b.stacked(0, 0, List.of(inner, inner), mlp, List.of("gate_proj", "up_proj"), "bias"));
      int down = ranks.mlpOutput();
      b.matrix(d, columns(inner, down), mlp + "down_proj." + kind(down));
      b.optional(c.mlpBias(), () -> b.vector(d, mlp + "down_proj.bias"));
    }
    for (int l = 0; l < c.layers(); l++) {
      String layer = "model.layers." + l + ".";
      ModelConfig.Ranks ranks = c.ranks(l);
      b.first(ranks.attentionInput(), d, layer + "self_attn.qkv_proj.weight_a");
      b.first(ranks.attentionOutput(), q, layer + "self_attn.o_proj.weight_a");
      b.first(ranks.mlpInput(), d, layer + "mlp.gate_up_proj.weight_a");
      b.first(ranks.mlpOutput(), inner, layer + "mlp.down_proj.weight_a");
    }
  }

  /** What the second of two factors reads, or the only matrix. */
  private static long columns(long inputs, int rank) {
    return rank > 0 ? rank : inputs;
  }

  private static String kind(int rank) {
    return rank > 0 ? "weight_b" : "weight";
  }

  private static void gptNeoX(ModelConfig c, Builder b) {
    long d = c.hiddenSize();
    long inner = c.intermediateSize();
    b.matrix(c.vocabularySize(), d, "gpt_neox.embed_in.weight");
    if (!c.tiedEmbeddings()) {
      b.matrix(c.vocabularySize(), d, "embed_out.weight");
    }
    b.norm(d, "gpt_neox.final_layer_norm.weight");
    b.norm(d, "gpt_neox.final_layer_norm.bias");
    for (int l = 0; l < c.layers(); l++) {
      String layer = "gpt_neox.layers." + l + ".";
      String attention = layer + "attention.";
      b.norm(d, layer + "input_layernorm.weight");
      b.norm(d, layer + "input_layernorm.bias");
      b.unzipped(d, c.heads(), c.headDim(), attention + "query_key_value.weight");
      b.optional(
          c.qkvBias(),
          () -> b.unzipped(0, c.heads(), c.headDim(), attention + "query_key_value.bias"));
      b.matrix(d, d, attention + "dense.weight");
      b.optional(c.outputBias(), () -> b.vector(d, attention + "dense.bias"));
      b.norm(d, layer + "post_attention_layernorm.weight");
      b.norm(d, layer + "post_attention_layernorm.bias");
      b.matrix(inner, d, layer + "mlp.dense_h_to_4h.weight");
      b.optional(c.mlpBias(), () -> b.vector(inner, layer + "mlp.dense_h_to_4h.bias"));
      b.matrix(d, inner, layer + "mlp.dense_4h_to_h.weight");
      b.optional(c.mlpBias(), () -> b.vector(d, layer + "mlp.dense_4h_to_h.bias"));
    }
  }

  private static final class Builder {
    private final Map<String, TensorInfo> tensors;
    private final List<Weight> weights = new ArrayList<>();

    Builder(Map<String, TensorInfo> tensors) {
      this.tensors = tensors;
    }

    void matrix(long rows, long columns, String name) {
      weights.add(
          new Weight(
              List.of(rows, columns), false, 0, List.of(checked(name, List.of(rows, columns), 0))));
    }

    /** The first of two factors. */
    void first(int rank, long inputs, String name) {
      optional(rank > 0, () -> matrix(rank, inputs, name));
    }

    void vector(long length, String name) {
      weights.add(
          new Weight(List.of(length), false, 0, List.of(checked(name, List.of(length), 0))));
    }

    void norm(long length, String name) {
      weights.add(new Weight(List.of(length), true, 0, List.of(checked(name, List.of(length), 0))));
    }

    /** Norm over one head of q or k, whose dimensions are rotated. */
    void headNorm(long length, String name) {
      weights.add(new Weight(List.of(length), true, 1, List.of(checked(name, List.of(length), 0))));
    }

    void absent() {
      weights.add(new Weight(List.of(), false, 0, List.of()));
    }

    void optional(boolean present, Runnable weight) {
      if (present) {
        weight.run();
      } else {
        absent();
      }
    }

    /** Several projections below one another; columns = 0: their biases. */
    void stacked(
        long columns,
        int rotatedHeads,
        List<Long> rows,
        String prefix,
        List<String> names,
        String kind) {
      List<Piece> pieces = new ArrayList<>();
      long target = 0;
      for (int i = 0; i < rows.size(); i++) {
        String name = prefix + names.get(i) + "." + kind;
        pieces.add(checked(name, shape(rows.get(i), columns), target));
        target += rows.get(i);
      }
      weights.add(new Weight(shape(target, columns), false, rotatedHeads, pieces));
    }

    /** GPT-NeoX stores q, k, v head by head; the kernel wants all q, then all k, then all v. */
    void unzipped(long columns, int heads, int headDim, String name) {
      long width = (long) heads * headDim;
      checked(name, shape(3 * width, columns), 0);
      List<Piece> pieces = new ArrayList<>();
      for (int part = 0; part < 3; part++) {
        for (int head = 0; head < heads; head++) {
          pieces.add(
              new Piece(
                  name,
                  (3L * head + part) * headDim,
                  headDim,
                  part * width + (long) head * headDim));
        }
      }
      weights.add(new Weight(shape(3 * width, columns), false, 2 * heads, pieces));
    }

    private static List<Long> shape(long rows, long columns) {
      return columns == 0 ? List.of(rows) : List.of(rows, columns);
    }

    private Piece checked(String name, List<Long> shape, long targetRow) {
      TensorInfo info = tensors.get(name);
      if (info == null) {
        throw new EngineException(
            Kind.MODEL, "The model has no tensor " + name + ", which its configuration calls for.");
      }
      if (!info.shape().equals(shape)) {
        throw new EngineException(
            Kind.MODEL,
            "Tensor "
                + name
                + " has shape "
                + info.shape()
                + " where the configuration calls for "
                + shape
                + ".");
      }
      return new Piece(name, 0, shape.get(0), targetRow);
    }
  }
}
