package dev.whence.influence.index;

import dev.whence.engine.kernel.LinearLayer;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.corpus.CorpusDocument;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.model.Measure;
import dev.whence.influence.model.TappedModel;
import java.nio.FloatBuffer;
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

  /** Coordinates that a thread reads at once: they stay in the cache next to it. */
  private static final int PIECE = 1 << 13;

  /** Sums of squares that grow side by side: each of {@link #PIECE} / LANES numbers. */
  private static final int LANES = 1 << 9;

  /** Between these no square has overflowed, and those that have vanished do not count. */
  private static final double LEAST = 1e-28;

  private static final double MOST = 1e36;

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
        (layer, found, values) ->
            values.read(elements -> add(layer, elements, found, sketches, squares)));
    List<Vector> vectors = new ArrayList<>();
    for (int i = 0; i < sketches.length; i++) {
      vectors.add(new Vector(sketches[i], Math.sqrt(squares[i])));
    }
    return vectors;
  }

  /**
   * Adds a layer's part to sketches and squared norms.
   *
   * @param values [found, elements of the layer]
   * @param found whose they are
   */
  private void add(
      LinearLayer layer,
      FloatBuffer values,
      List<Integer> found,
      float[][] sketches,
      double[] squares) {
    int elements = values.remaining() / found.size();
    Shares.forEach(
        found.size(),
        i -> {
          int document = found.get(i);
          squares[document] +=
              add(values, i * elements, elements, first(layer), sketches[document]);
        });
  }

  /** Adds n values from an index on; the sum of their squares. */
  private double add(FloatBuffer values, int index, int n, long first, float[] into) {
    float[] piece = new float[PIECE];
    double squares = 0;
    for (int at = 0; at < n; at += PIECE) {
      int here = Math.min(PIECE, n - at);
      values.get(index + at, piece, 0, here);
      sketch.add(piece, here, first + at, into);
      squares += squared(piece, here);
    }
    return squares;
  }

  /** Sums in fp32 over few numbers each, side by side, and of those one in fp64. */
  static double squared(float[] values, int n) {
    float[] here = new float[LANES];
    float[] lanes = new float[LANES];
    int whole = n / LANES * LANES;
    for (int i = 0; i < whole; i += LANES) {
      System.arraycopy(values, i, here, 0, LANES);
      addSquares(here, lanes);
    }
    double sum = 0;
    for (float lane : lanes) {
      sum += lane;
    }
    if (sum < LEAST || sum > MOST) {
      sum = 0;
      whole = 0; // squares that fp32 does not hold
    }
    for (int i = whole; i < n; i++) {
      sum += (double) values[i] * values[i];
    }
    return sum;
  }

  /** A loop that is vectorised, as that of {@link BlockSketch} is. */
  private static void addSquares(float[] values, float[] lanes) {
    for (int i = 0; i < LANES; i++) {
      lanes[i] += values[i] * values[i];
    }
  }

  @Override
  public void close() {
    gradients.close();
  }
}
