package dev.whence.influence.index;

import dev.whence.engine.kernel.LinearLayer;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.corpus.CorpusDocument;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.model.Measure;
import dev.whence.influence.model.TappedModel;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;

/**
 * Whitened gradients of documents, sketched:
 *
 * <pre>
 *   g^ = P[ (Q_S' G Q_A) / sqrt(Lambda + lambda0) ]
 * </pre>
 *
 * with G [O, I] the gradient of the document's training loss (a sum over its tokens, nats) by each
 * layer's weight, all layers one after the other, and P a {@link BlockSketch}. Scalar products of
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

  private final BlockSketch sketch;
  private final WhitenedGradients gradients;
  private final Map<String, Long> firsts;

  /**
   * @param model stays the caller's to close; its layers are those of the factors
   * @param factors of the model; may be closed afterwards
   */
  public SketchedGradients(
      TappedModel model,
      EkfacFactors factors,
      Damping damping,
      BlockSketch sketch,
      Measure measure) {
    this.sketch = sketch;
    this.firsts = firsts(factors.layers());
    this.gradients = new WhitenedGradients(model, factors, damping, measure);
  }

  private long first(LinearLayer layer) {
    return Objects.requireNonNull(firsts.get(layer.name()));
  }

  /** Number of each layer's first coordinate. */
  private static Map<String, Long> firsts(List<LinearLayer> layers) {
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
   * @throws InfluenceException if gradients are not finite, naming the lines
   */
  public List<Vector> of(List<CorpusDocument> documents, int packTokens) {
    List<Vector> vectors = unchecked(documents, packTokens);
    List<CorpusDocument> suspects = new ArrayList<>();
    for (int i = 0; i < vectors.size(); i++) {
      if (!Double.isFinite(vectors.get(i).norm())) {
        suspects.add(documents.get(i));
      }
    }
    if (!suspects.isEmpty()) {
      // What is not finite may spread to the documents beside it: each is asked by itself.
      List<CorpusDocument> guilty =
          suspects.stream()
              .filter(one -> !Double.isFinite(unchecked(List.of(one), packTokens).get(0).norm()))
              .toList();
      throw notFinite(guilty.isEmpty() ? suspects : guilty);
    }
    return vectors;
  }

  private static InfluenceException notFinite(List<CorpusDocument> guilty) {
    String lines =
        guilty.stream()
            .map(document -> String.valueOf(document.reference().line()))
            .collect(Collectors.joining(", "));
    return new InfluenceException(
        guilty.size() == 1
            ? "The gradient of the document at line "
                + lines
                + " is not finite: the model overflows on it. Take the line out of the corpus."
            : "The gradients of the documents at lines "
                + lines
                + " are not finite: the model overflows on them. Take the lines out of the"
                + " corpus.");
  }

  private List<Vector> unchecked(List<CorpusDocument> documents, int packTokens) {
    float[][] sketches = new float[documents.size()][sketch.buckets()];
    double[] squares = new double[documents.size()];
    gradients.forEach(
        documents,
        packTokens,
        (layer, document, first, values) ->
            values.read(
                elements ->
                    squares[document] +=
                        sketch.add(elements, first(layer) + first, sketches[document])));
    List<Vector> vectors = new ArrayList<>();
    for (int i = 0; i < sketches.length; i++) {
      vectors.add(new Vector(sketches[i], Math.sqrt(squares[i])));
    }
    return vectors;
  }

  @Override
  public void close() {
    gradients.close();
  }
}
