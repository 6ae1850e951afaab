package dev.whence.influence.index;

import dev.whence.engine.kernel.Labels;
import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Matrix;
import dev.whence.engine.kernel.Taps;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.RowPacker;
import dev.whence.influence.corpus.CorpusDocument;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.ekfac.TokenRotation;
import dev.whence.influence.model.Measure;
import dev.whence.influence.model.TappedModel;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * Gradients of documents in the eigenbasis, divided by the root of the damped eigenvalues:
 *
 * <pre>
 *   g = (Q_S' G Q_A) / sqrt(Lambda + lambda0)
 * </pre>
 *
 * with G [O, I] the gradient of the document's training loss (a sum over its tokens, nats) by each
 * layer's weight. Scalar products of such vectors are those that the inverse of H + lambda0 gives.
 * Cost: one forward and backward of the documents.
 */
public final class WhitenedGradients implements AutoCloseable {
  /** What is done with a document's vector, layer by layer. */
  public interface Sink {
    /**
     * A document's part in a layer.
     *
     * @param document its place in the list
     * @param values [O, I], row by row
     */
    void layer(int document, LinearLayer layer, float[] values);
  }

  private final TappedModel model;
  private final Measure measure;
  private final TokenRotation rotation;
  private final Map<String, LinearLayer> layers = new LinkedHashMap<>();
  private final Map<String, Matrix> whitening = new LinkedHashMap<>();

  /**
   * @param model stays the caller's to close; its layers are those of the factors
   * @param factors of the model; may be closed afterwards
   * @param lambda0 damping
   */
  public WhitenedGradients(
      TappedModel model, EkfacFactors factors, Damping lambda0, Measure measure) {
    this.model = model;
    this.measure = measure;
    this.rotation = new TokenRotation(factors);
    for (LinearLayer layer : factors.layers()) {
      double[] lambda = factors.lambda(layer);
      double damping = lambda0.of(factors, layer);
      float[] scale = new float[lambda.length];
      for (int i = 0; i < scale.length; i++) {
        scale[i] = (float) (1 / Math.sqrt(lambda[i] + damping));
      }
      layers.put(layer.name(), layer);
      whitening.put(layer.name(), model.matrices().of(layer.outputs(), layer.inputs(), scale));
    }
  }

  /**
   * Vectors of documents; what is longer than the model reads is the sum of its pieces. Such a
   * document is done alone, after the others: its sum is a whole gradient in memory, and there is
   * one at a time.
   */
  public void forEach(List<CorpusDocument> documents, int packTokens, Sink sink) {
    List<Example> examples = new ArrayList<>();
    List<Integer> owners = new ArrayList<>();
    for (int i = 0; i < documents.size(); i++) {
      List<Example> own = documents.get(i).examples();
      if (own.size() == 1) {
        examples.add(own.get(0));
        owners.add(i);
      }
    }
    run(
        examples,
        packTokens,
        (example, layer, values) -> sink.layer(owners.get(example), layer, values));
    for (int i = 0; i < documents.size(); i++) {
      List<Example> pieces = documents.get(i).examples();
      if (pieces.size() > 1) {
        Map<String, float[]> sums = new LinkedHashMap<>();
        run(pieces, packTokens, (piece, layer, values) -> addTo(sums, layer, values));
        int owner = i;
        sums.forEach(
            (name, values) -> sink.layer(owner, Objects.requireNonNull(layers.get(name)), values));
      }
    }
  }

  /** The sink's first argument is the example's place in the list. */
  private void run(List<Example> examples, int packTokens, Sink sink) {
    List<Example> sloped = model.sloped(examples, measure, packTokens);
    for (RowPacker.Packed pack : model.pack(sloped, packTokens)) {
      try (Taps taps = model.tap(pack, new Labels.Given())) {
        rotation.forEach(
            taps,
            (layer, gradients, inputs) -> {
              for (Taps.Run run : taps.runs(layer)) {
                sink.layer(run.document(), layer, whitened(layer, gradients, inputs, run));
              }
            });
      }
    }
  }

  private static void addTo(Map<String, float[]> sums, LinearLayer layer, float[] values) {
    float[] sum = sums.computeIfAbsent(layer.name(), name -> new float[values.length]);
    for (int i = 0; i < sum.length; i++) {
      sum[i] += values[i];
    }
  }

  private float[] whitened(LinearLayer layer, Matrix gradients, Matrix inputs, Taps.Run run) {
    try (Matrix product =
        gradients.scaledProduct(inputs, run, Objects.requireNonNull(whitening.get(layer.name())))) {
      return product.floats();
    }
  }

  @Override
  public void close() {
    rotation.close();
    whitening.values().forEach(Matrix::close);
  }
}
