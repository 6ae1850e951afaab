package dev.whence.engine.kernel;

import dev.whence.engine.weights.ModelConfig;

/**
 * Floating point operations of a pack, 2 per multiply-add, by kind. Norms, activations, softmax and
 * rotations are not counted.
 *
 * @param tokens own tokens that linear layers see
 * @param linear projections of attention and MLP
 * @param attention queries with keys and weights with values, over the pairs that are visible
 * @param logits of scored rows
 */
public record Work(long tokens, double linear, double attention, double logits) {
  public static final Work NONE = new Work(0, 0, 0, 0);

  static Work of(ModelConfig c, Pack pack) {
    return of(c, pack.size(), pack.wanted().length, pack.plan().pairs(), pack.lastPlan().pairs());
  }

  /**
   * @param tokens own tokens N
   * @param scored wanted rows S; the last layer computes keys and values of all, the rest of S only
   * @param pairs visible pairs of all rows
   * @param scoredPairs visible pairs of the wanted rows
   */
  static Work of(ModelConfig c, long tokens, long scored, long pairs, long scoredPairs) {
    double d = c.hiddenSize();
    double q = (double) c.heads() * c.headDim();
    double kv = (double) c.keyValueHeads() * c.headDim();
    double inner = c.intermediateSize();
    double linear = 0;
    for (int l = 0; l < c.layers(); l++) {
      ModelConfig.Ranks ranks = c.ranks(l);
      double in = product(d, q + 2 * kv, ranks.attentionInput());
      double rest =
          product(q, d, ranks.attentionOutput())
              + product(d, (c.isGptNeoX() ? 1 : 2) * inner, ranks.mlpInput())
              + product(inner, d, ranks.mlpOutput());
      linear += 2 * (in * tokens + rest * (l < c.layers() - 1 ? tokens : scored));
    }
    double attention = 4 * q * ((c.layers() - 1) * (double) pairs + scoredPairs);
    return new Work(tokens, linear, attention, logits(c, scored));
  }

  /** Logits of rows whose hidden states are there. */
  static Work ofLogits(ModelConfig c, long rows) {
    return new Work(0, 0, 0, logits(c, rows));
  }

  private static double logits(ModelConfig c, long rows) {
    return 2.0 * c.hiddenSize() * c.vocabularySize() * rows;
  }

  /** Multiply-adds per row of a matrix, or of the two factors that stand for it. */
  private static double product(double inputs, double outputs, int rank) {
    return rank > 0 ? rank * (inputs + outputs) : inputs * outputs;
  }

  public Work plus(Work other) {
    return new Work(
        tokens + other.tokens,
        linear + other.linear,
        attention + other.attention,
        logits + other.logits);
  }

  public double flops() {
    return linear + attention + logits;
  }
}
