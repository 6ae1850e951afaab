package dev.whence.benchmarks;

import dev.whence.engine.weights.ModelConfig;

/**
 * Floating point operations, 2 per multiply-add, that a forward over a sequence needs, by formula
 * and apart from the engine's own count. With N tokens, S scored rows, layers of width d, query
 * width q = heads * head dimension, key width k and MLP width m (three matrices with a gate, two in
 * GPT-NeoX):
 *
 * <pre>
 *   linear    = 2 ((layers - 1) N (d (q + 2 k) + q d + 3 d m) + N d 2 k + S (d q + q d + 3 d m))
 *   attention = 4 q ((layers - 1) N (N + 1) / 2 + S (N - 1) - S (S - 1) / 2)
 *   logits    = 2 S d vocabulary
 * </pre>
 *
 * The last layer needs keys and values of all tokens, and the rest only of the scored rows: token i
 * is scored from row i - 1. What an engine computes beyond that is its own loss. Norms,
 * activations, softmax and rotations are not counted. Of a matrix that is kept as B A of rank r, r
 * (inputs + outputs) takes the place of inputs times outputs.
 *
 * @param linear projections of attention and MLP
 * @param attention queries with keys and weights with values, over visible pairs
 * @param logits of scored rows
 */
public record ForwardFlops(double linear, double attention, double logits) {

  /**
   * What one forward over a sequence needs.
   *
   * @param tokens length N of the sequence
   * @param scored S, the last tokens, each scored from the row before it
   */
  public static ForwardFlops of(ModelConfig config, int tokens, int scored) {
    double n = tokens;
    double s = scored;
    double d = config.hiddenSize();
    double q = (double) config.heads() * config.headDim();
    double k = (double) config.keyValueHeads() * config.headDim();
    double m = config.intermediateSize();
    double linear = 0;
    for (int l = 0; l < config.layers(); l++) {
      ModelConfig.Ranks ranks = config.ranks(l);
      boolean last = l == config.layers() - 1;
      double keys = last ? product(d, 2 * k, ranks.attentionInput()) : 0;
      double queries = product(d, q + 2 * k, ranks.attentionInput()) - keys;
      double rest =
          queries
              + product(q, d, ranks.attentionOutput())
              + product(d, (config.isGptNeoX() ? 1 : 2) * m, ranks.mlpInput())
              + product(m, d, ranks.mlpOutput());
      linear += 2 * (n * keys + (last ? s : n) * rest);
    }
    double layers = config.layers() - 1;
    // scored rows are N - S - 1 ... N - 2; row i sees i + 1 tokens
    double scoredPairs = s * (n - 1) - s * (s - 1) / 2;
    return new ForwardFlops(
        linear,
        4 * q * (layers * n * (n + 1) / 2 + scoredPairs),
        2 * s * d * config.vocabularySize());
  }

  /** Multiply-adds per row of a matrix, or of the two factors that stand for it. */
  private static double product(double inputs, double outputs, int rank) {
    return rank > 0 ? rank * (inputs + outputs) : inputs * outputs;
  }

  public double total() {
    return linear + attention + logits;
  }
}
