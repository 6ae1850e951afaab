package dev.whence.influence.ekfac;

import dev.whence.engine.kernel.Labels;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.RowPacker;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Draws the labels of the true Fisher information: what is drawn for a token depends on the seed,
 * on its document's tokens and on its place in it, and on nothing else, so that neither batch size
 * nor padding nor the order of the corpus makes a difference.
 *
 * @param seed of the pass: two passes draw independently
 */
record LabelSeed(long seed) {
  Labels.Drawn of(RowPacker.Packed pack, List<Example> examples) {
    int[] owners = pack.owners();
    double[] uniforms = new double[owners.length];
    SplittableRandom random = new SplittableRandom(0);
    for (int s = 0; s < owners.length; s++) {
      if (s == 0 || owners[s] != owners[s - 1]) {
        random = new SplittableRandom(seed ^ hash(examples.get(owners[s]).tokens()));
      }
      uniforms[s] = random.nextDouble();
    }
    return new Labels.Drawn(uniforms);
  }

  /**
   * The example whose squared gradients, labels drawn, are the Fisher information of the weighted
   * loss: labels of tokens are drawn independently, so E[(sum_t sqrt(w_t) g_t)^2] = sum_t w_t
   * E[g_t^2].
   */
  static Example forSquares(Example example) {
    float[] roots = example.lossWeights().clone();
    for (int i = 0; i < roots.length; i++) {
      roots[i] = (float) Math.sqrt(roots[i]);
    }
    return new Example(example.tokens(), roots);
  }

  /** FNV-1a over the tokens. */
  private static long hash(int[] tokens) {
    long hash = 0xcbf2_9ce4_8422_2325L;
    for (int token : tokens) {
      hash = (hash ^ token) * 0x100_0000_01b3L;
    }
    return hash;
  }
}
