package dev.whence.influence.index;

import dev.whence.engine.kernel.LinearLayer;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.corpus.CorpusDocument;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.model.Measure;
import dev.whence.influence.model.TappedModel;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
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

  /** Places of coordinates are kept up to so many, of four bytes each. */
  private static final long MOST_PLACES = 1 << 24;

  /** Of gradients that wait for being sketched, about. */
  private static final long WAITING_BYTES = 64 << 20;

  /** A layer's part of a document's gradient, [O, I]. */
  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  private record Waiting(int document, LinearLayer layer, float[] values) {}

  private final CountSketch sketch;
  private final WhitenedGradients gradients;
  private final Map<String, Long> firsts;
  private final Map<String, int[]> places;

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
    this.sketch = sketch;
    this.gradients = new WhitenedGradients(model, factors, damping, measure);
    this.firsts = firsts(factors.layers());
    this.places = places(factors.layers());
  }

  private Map<String, int[]> places(List<LinearLayer> layers) {
    if (layers.stream().mapToLong(LinearLayer::elements).sum() > MOST_PLACES) {
      return Map.of();
    }
    Map<String, int[]> known = new HashMap<>();
    for (LinearLayer layer : layers) {
      long first = Objects.requireNonNull(firsts.get(layer.name()));
      known.put(layer.name(), sketch.places(first, Math.toIntExact(layer.elements())));
    }
    return known;
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
   * @throws InfluenceException if a gradient is not finite, naming the line
   */
  public List<Vector> of(List<CorpusDocument> documents, int packTokens) {
    float[][] sketches = new float[documents.size()][sketch.buckets()];
    double[] squares = new double[documents.size()];
    List<Waiting> waiting = new ArrayList<>();
    long[] bytes = {0};
    gradients.forEach(
        documents,
        packTokens,
        (document, layer, values) -> {
          squares[document] += squared(values);
          waiting.add(new Waiting(document, layer, values));
          bytes[0] += (long) values.length * Float.BYTES;
          if (bytes[0] > WAITING_BYTES) {
            add(waiting, sketches);
            bytes[0] = 0;
          }
        });
    add(waiting, sketches);
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

  /**
   * Document by document: gradients come layer by layer, and sketches that take turns are all out
   * of the cache.
   */
  private void add(List<Waiting> waiting, float[][] sketches) {
    waiting.sort(Comparator.comparingInt(Waiting::document));
    for (Waiting one : waiting) {
      int[] known = places.get(one.layer().name());
      if (known == null) {
        long first = Objects.requireNonNull(firsts.get(one.layer().name()));
        sketch.add(one.values(), first, sketches[one.document()]);
      } else {
        CountSketch.add(one.values(), known, sketches[one.document()]);
      }
    }
    waiting.clear();
  }

  private static double squared(float[] values) {
    double[] lanes = new double[4]; // sums side by side: one alone waits for itself
    int whole = values.length / lanes.length * lanes.length;
    for (int i = 0; i < whole; i += lanes.length) {
      lanes[0] += (double) values[i] * values[i];
      lanes[1] += (double) values[i + 1] * values[i + 1];
      lanes[2] += (double) values[i + 2] * values[i + 2];
      lanes[3] += (double) values[i + 3] * values[i + 3];
    }
    for (int i = whole; i < values.length; i++) {
      lanes[0] += (double) values[i] * values[i];
    }
    return lanes[0] + lanes[1] + lanes[2] + lanes[3];
  }

  @Override
  public void close() {
    gradients.close();
  }
}
