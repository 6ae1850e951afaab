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
import java.util.function.BiFunction;

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
  /** What is done with documents' vectors, layer by layer. */
  public interface Sink {
    /**
     * Parts of some documents in a layer; a document has one part in each layer.
     *
     * @param documents their places in the list
     * @param values [documents, O I], each row by row of [O, I], fp32; valid until this returns
     */
    void layer(LinearLayer layer, List<Integer> documents, Matrix values);
  }

  /** Elements of the vectors that are computed together: 64 MiB. */
  private static final int ROOM = 1 << 24;

  private final TappedModel model;
  private final Measure measure;
  private final TokenRotation rotation;
  private final Matrix room;
  private final Map<String, Matrix> whitening = new LinkedHashMap<>();

  /**
   * @param model stays the caller's to close; its layers are those of the factors
   * @param factors of the model; may be closed afterwards
   * @param lambda0 damping
   * @throws InfluenceException if lambda0 is so small that fp32 can not hold what whitens
   */
  public WhitenedGradients(
      TappedModel model, EkfacFactors factors, Damping lambda0, Measure measure) {
    this(model, factors, lambda0, measure, ROOM);
  }

  /**
   * @param elements of vectors that are computed together; of one document if it has more
   */
  WhitenedGradients(
      TappedModel model, EkfacFactors factors, Damping lambda0, Measure measure, int elements) {
    this.model = model;
    this.measure = measure;
    long largest = factors.layers().stream().mapToLong(LinearLayer::elements).max().orElse(0);
    this.room = model.matrices().room(1, Math.toIntExact(Math.max(elements, largest)));
    boolean complete = false;
    try {
      for (LinearLayer layer : factors.layers()) {
        whitening.put(
            layer.name(),
            model.matrices().of(layer.outputs(), layer.inputs(), scale(factors, layer, lambda0)));
      }
      this.rotation = new TokenRotation(factors);
      complete = true;
    } finally {
      if (!complete) {
        room.close();
        whitening.values().forEach(Matrix::close);
      }
    }
  }

  /** 1 / sqrt(Lambda + lambda0), [O, I]. */
  private static float[] scale(EkfacFactors factors, LinearLayer layer, Damping lambda0) {
    double[] lambda = factors.lambda(layer);
    double damping = lambda0.of(factors, layer);
    float[] scale = new float[lambda.length];
    for (int i = 0; i < scale.length; i++) {
      scale[i] = (float) (1 / Math.sqrt(lambda[i] + damping));
      if (!Float.isFinite(scale[i])) {
        throw new InfluenceException(
            "lambda0 is so small that layer "
                + layer.name()
                + " can not be whitened: choose a larger one.");
      }
    }
    return scale;
  }

  /**
   * Vectors of documents; what is longer than the model reads is the sum of its pieces. Such a
   * document is done alone, after the others: its sum is a whole gradient where the model is, and
   * there is one at a time.
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
    for (RowPacker.Packed pack : packs(examples, packTokens)) {
      each(
          pack,
          Taps::runs,
          (layer, found, values) ->
              sink.layer(layer, found.stream().map(owners::get).toList(), values));
    }
    for (int i = 0; i < documents.size(); i++) {
      List<Example> pieces = documents.get(i).examples();
      if (pieces.size() > 1) {
        forPieces(i, packs(pieces, packTokens), sink);
      }
    }
  }

  /** All rows of a pack are the one document's: its part is one product of them. */
  private void forPieces(int document, List<RowPacker.Packed> packs, Sink sink) {
    Map<LinearLayer, Matrix> sums = new LinkedHashMap<>();
    try {
      for (RowPacker.Packed pack : packs) {
        each(
            pack,
            (taps, layer) -> List.of(new Taps.Run(0, 0, taps.gradient(layer).rows())),
            (layer, found, values) -> {
              Matrix sum = sums.get(layer);
              if (sum == null) {
                sums.put(layer, values.copy());
              } else {
                sum.add(values);
              }
            });
      }
      sums.forEach((layer, sum) -> sink.layer(layer, List.of(document), sum));
    } finally {
      sums.values().forEach(Matrix::close);
    }
  }

  private List<RowPacker.Packed> packs(List<Example> examples, int packTokens) {
    return model.pack(model.sloped(examples, measure, packTokens), packTokens);
  }

  /** The sink gets the numbers that runs have. */
  private void each(
      RowPacker.Packed pack, BiFunction<Taps, LinearLayer, List<Taps.Run>> runs, Sink sink) {
    try (Taps taps = model.tap(pack, new Labels.Given())) {
      rotation.forEach(
          taps,
          (layer, gradients, inputs) -> {
            Matrix scale = Objects.requireNonNull(whitening.get(layer.name()));
            List<Taps.Run> all = runs.apply(taps, layer);
            int atOnce = (int) Math.max(1, room.columns() / layer.elements());
            for (int from = 0; from < all.size(); from += atOnce) {
              List<Taps.Run> some = all.subList(from, Math.min(from + atOnce, all.size()));
              try (Matrix values = gradients.scaledProducts(inputs, some, scale, room)) {
                sink.layer(layer, some.stream().map(Taps.Run::document).toList(), values);
              }
            }
          });
    }
  }

  @Override
  public void close() {
    rotation.close();
    room.close();
    whitening.values().forEach(Matrix::close);
  }
}
