package dev.whence.influence.index;

import dev.whence.engine.kernel.Labels;
import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Matrix;
import dev.whence.engine.kernel.Taps;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.RowPacker;
import dev.whence.influence.InfluenceException;
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
 * Whitened gradients of documents, sketched:
 *
 * <pre>
 *   g^ = P[ (Q_S' G Q_A) / sqrt(Lambda + lambda0) ]
 * </pre>
 *
 * with G [O, I] the gradient of the document's training loss (a sum over its tokens, nats) by each
 * layer's weight, all layers one after the other, and P a {@link CountSketch}. Scalar products of
 * such vectors are those that the inverse of H + lambda0 gives. Cost: one forward and backward of
 * the document, and one addition for each element of the layers' weights.
 */
public final class SketchedGradients implements AutoCloseable {
  /**
   * A document's vector.
   *
   * @param sketch k numbers
   * @param norm |g^| before sketching; its square over N is the document's self-influence
   */
  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  public record Vector(float[] sketch, double norm) {}

  private final TappedModel model;
  private final CountSketch sketch;
  private final Measure measure;
  private final TokenRotation rotation;
  private final Map<String, Matrix> whitening = new LinkedHashMap<>();
  private final Map<String, Long> firsts;

  /**
   * @param model stays the caller's to close; its layers are those of the factors
   * @param factors of the model; may be closed afterwards
   */
  public SketchedGradients(
      TappedModel model,
      EkfacFactors factors,
      Damping damping,
      CountSketch sketch,
      Measure measure) {
    this.model = model;
    this.measure = measure;
    this.sketch = sketch;
    this.rotation = new TokenRotation(factors);
    this.firsts = firsts(factors.layers());
    for (LinearLayer layer : factors.layers()) {
      double[] lambda = factors.lambda(layer);
      double lambda0 = damping.of(factors, layer);
      float[] scale = new float[lambda.length];
      for (int i = 0; i < scale.length; i++) {
        scale[i] = (float) (1 / Math.sqrt(lambda[i] + lambda0));
      }
      whitening.put(layer.name(), model.matrices().of(layer.outputs(), layer.inputs(), scale));
    }
  }

  /** Number of each layer's first coordinate. */
  public static Map<String, Long> firsts(List<LinearLayer> layers) {
    Map<String, Long> firsts = new LinkedHashMap<>();
    long first = 0;
    for (LinearLayer layer : layers) {
      firsts.put(layer.name(), first);
      first += layer.elements();
    }
    return firsts;
  }

  /**
   * Vectors of documents, in their order.
   *
   * @throws InfluenceException if a gradient is not finite, naming the line
   */
  public List<Vector> of(List<CorpusDocument> documents, int packTokens) {
    List<Example> examples = new ArrayList<>();
    List<Integer> owners = new ArrayList<>();
    for (int i = 0; i < documents.size(); i++) {
      for (Example example : documents.get(i).examples()) {
        examples.add(example);
        owners.add(i);
      }
    }
    float[][] sketches = new float[documents.size()][sketch.buckets()];
    double[] squares = new double[documents.size()];
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
                  // the norm is that of the sum of the pieces' gradients
                  addTo(sums.computeIfAbsent(owner, o -> new LinkedHashMap<>()), layer, values);
                } else {
                  squares[owner] += squared(values);
                  sketch.add(values, first(layer), sketches[owner]);
                }
              }
            });
      }
    }
    sums.forEach(
        (owner, layers) ->
            layers.forEach(
                (name, values) -> {
                  squares[owner] += squared(values);
                  sketch.add(values, Objects.requireNonNull(firsts.get(name)), sketches[owner]);
                }));
    List<Vector> vectors = new ArrayList<>();
    for (int i = 0; i < sketches.length; i++) {
      if (!Double.isFinite(squares[i])) {
        throw new InfluenceException(
            "The gradient of the document at line "
                + documents.get(i).reference().line()
                + " is not finite: the model overflows on it. Take the line out of the corpus.");
      }
      vectors.add(new Vector(sketches[i], Math.sqrt(squares[i])));
    }
    return vectors;
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

  private long first(LinearLayer layer) {
    return Objects.requireNonNull(firsts.get(layer.name()));
  }

  private static double squared(float[] values) {
    double sum = 0;
    for (float value : values) {
      sum += (double) value * value;
    }
    return sum;
  }

  @Override
  public void close() {
    rotation.close();
    whitening.values().forEach(Matrix::close);
  }
}
