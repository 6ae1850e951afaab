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

  /** Vectors of documents; what is longer than the model reads is the sum of its pieces. */
  public void forEach(List<CorpusDocument> documents, int packTokens, Sink sink) {
    List<Example> examples = new ArrayList<>();
    List<Integer> owners = new ArrayList<>();
    for (int i = 0; i < documents.size(); i++) {
      for (Example example : documents.get(i).examples()) {
        examples.add(example);
        owners.add(i);
      }
    }
    boolean[] pieces = pieces(documents);
    Map<Integer, Map<String, float[]>> sums = new LinkedHashMap<>();
    List<Example> sloped = model.sloped(examples, measure, packTokens);
    for (RowPacker.Packed pack : model.pack(sloped, packTokens)) {
      try (Taps taps = model.tap(pack, new Labels.Given())) {
        rotation.forEach(
            taps,
            (layer, gradients, inputs) -> {
              for (Taps.Run run : taps.runs(layer)) {
                int owner = owners.get(run.document());
                float[] values = whitened(layer, gradients, inputs, run);
                if (pieces[owner]) {
                  addTo(sums.computeIfAbsent(owner, o -> new LinkedHashMap<>()), layer, values);
                } else {
                  sink.layer(owner, layer, values);
                }
              }
            });
      }
    }
    sums.forEach(
        (owner, parts) ->
            parts.forEach(
                (name, values) ->
                    sink.layer(owner, Objects.requireNonNull(layers.get(name)), values)));
  }

  private static boolean[] pieces(List<CorpusDocument> documents) {
    boolean[] pieces = new boolean[documents.size()];
    for (int i = 0; i < pieces.length; i++) {
      pieces[i] = documents.get(i).examples().size() > 1;
    }
    return pieces;
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
