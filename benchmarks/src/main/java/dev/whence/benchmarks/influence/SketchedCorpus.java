package dev.whence.benchmarks.influence;

import dev.whence.influence.corpus.CorpusDocument;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.index.BlockSketch;
import dev.whence.influence.index.SketchedGradients;
import dev.whence.influence.model.TappedModel;
import java.util.ArrayList;
import java.util.List;

/**
 * Sketched gradients of a corpus, in memory, in fp32.
 *
 * @param damping lambda0 of their whitening
 * @param sketch of all vectors
 * @param vectors [n][k], in the order of the corpus
 * @param norms before sketching
 */
@SuppressWarnings("ArrayRecordComponent") // compared nowhere
record SketchedCorpus(Damping damping, BlockSketch sketch, float[][] vectors, double[] norms) {
  private static final int DOCUMENTS_AT_ONCE = 256;
  private static final int PACK_TOKENS = 1024;

  static SketchedCorpus of(
      TappedModel model,
      EkfacFactors factors,
      Damping damping,
      BlockSketch sketch,
      dev.whence.influence.model.Measure measure,
      List<CorpusDocument> documents) {
    List<SketchedGradients.Vector> all = new ArrayList<>();
    try (SketchedGradients gradients =
        new SketchedGradients(model, factors, damping, sketch, measure)) {
      for (int at = 0; at < documents.size(); at += DOCUMENTS_AT_ONCE) {
        all.addAll(
            gradients.of(
                documents.subList(at, Math.min(documents.size(), at + DOCUMENTS_AT_ONCE)),
                PACK_TOKENS));
      }
    }
    return new SketchedCorpus(
        damping,
        sketch,
        all.stream().map(SketchedGradients.Vector::sketch).toArray(float[][]::new),
        all.stream().mapToDouble(SketchedGradients.Vector::norm).toArray());
  }

  /** Scalar products with a vector [k]. */
  double[] products(float[] vector) {
    double[] products = new double[vectors.length];
    for (int i = 0; i < products.length; i++) {
      products[i] = product(vectors[i], vector);
    }
    return products;
  }

  static double product(float[] x, float[] y) {
    return product(x, y, 0);
  }

  /** With the part of y that begins at a place. */
  static double product(float[] x, float[] y, int from) {
    float[] lanes = new float[8]; // several sums at once, so that they can be vectorised
    int whole = x.length / 8 * 8;
    for (int j = 0; j < whole; j += 8) {
      for (int lane = 0; lane < 8; lane++) {
        lanes[lane] += x[j + lane] * y[from + j + lane];
      }
    }
    double sum = 0;
    for (float lane : lanes) {
      sum += lane;
    }
    for (int j = whole; j < x.length; j++) {
      sum += x[j] * y[from + j];
    }
    return sum;
  }
}
