package dev.whence.engine.kernel;

import ai.djl.ndarray.NDList;
import ai.djl.ndarray.types.DataType;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.engine.PtNDManager;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What linear layers saw of packed documents: for each token t the layer's input a_t, and the
 * gradient d_t of the weighted loss by its output. The gradient of a document's loss by the layer's
 * weight is the sum of d_t a_t' over the document's rows.
 *
 * <p>Padding has no rows. A layer after the last attention has rows of scored tokens only: nothing
 * that comes out for the others is ever read.
 */
public final class Taps implements AutoCloseable {
  /**
   * A document's rows of a layer, [from, to).
   *
   * @param document its number in the pack
   */
  public record Run(int document, int from, int to) {
    public int length() {
      return to - from;
    }
  }

  private record Tap(Matrix input, Matrix gradient, boolean scoredOnly) {}

  private final PtNDManager scope;
  private final Map<LinearLayer, Tap> taps;
  private final float[] losses;
  private final long[] labels;
  private final List<Run> read;
  private final List<Run> scored;

  /**
   * Takes over the scope.
   *
   * @param lastAttention product of the last block's queries, keys and values
   * @param result of the kernel's tap()
   */
  Taps(
      PtNDManager scope,
      Matrices on,
      List<LinearLayer> layers,
      int lastAttention,
      PackedDocuments documents,
      NDList result) {
    this.scope = scope;
    this.losses = result.get(0).toType(DataType.FLOAT32, false).toFloatArray();
    this.labels = result.get(1).toLongArray();
    this.taps = new LinkedHashMap<>();
    List<LinearLayer> ordered =
        layers.stream()
            .sorted(
                Comparator.comparingInt(LinearLayer::product).thenComparingInt(LinearLayer::part))
            .toList();
    int at = 2;
    for (int i = 0; i < ordered.size(); i++) {
      LinearLayer layer = ordered.get(i);
      boolean joined = i > 0 && ordered.get(i - 1).product() == layer.product();
      Matrix input =
          joined ? tap(ordered.get(i - 1)).input() : on.wrap((PtNDArray) result.get(at++));
      Matrix gradient = on.wrap((PtNDArray) result.get(at++));
      taps.put(layer, new Tap(input, gradient, layer.product() > lastAttention));
    }
    List<Integer> owners = new ArrayList<>();
    for (long document : documents.documents()) {
      if (document >= 0) {
        owners.add((int) document);
      }
    }
    this.read = runs(owners);
    List<Integer> scoredOwners = new ArrayList<>();
    for (long place : documents.scored()) {
      scoredOwners.add((int) documents.documents()[(int) place]);
    }
    this.scored = runs(scoredOwners);
  }

  /** Rows of a document stand together. */
  private static List<Run> runs(List<Integer> owners) {
    List<Run> runs = new ArrayList<>();
    for (int from = 0, to; from < owners.size(); from = to) {
      int owner = owners.get(from);
      for (to = from + 1; to < owners.size() && owners.get(to) == owner; to++) {}
      runs.add(new Run(owner, from, to));
    }
    return runs;
  }

  private Tap tap(LinearLayer layer) {
    Tap tap = taps.get(layer);
    if (tap == null) {
      throw new IllegalArgumentException(layer.name() + " is not tapped");
    }
    return tap;
  }

  /** Losses in nats of the scored tokens, unweighted. */
  public float[] losses() {
    return losses;
  }

  /** The tokens that the losses are about. */
  public long[] labels() {
    return labels;
  }

  /** Inputs a [T, inputs], fp32; layers of one product share them. Belongs to the taps. */
  public Matrix input(LinearLayer layer) {
    return tap(layer).input();
  }

  /** Output gradients d [T, outputs], fp32. Belongs to the taps. */
  public Matrix gradient(LinearLayer layer) {
    return tap(layer).gradient();
  }

  /** Which rows of a layer are whose; the same documents in the same order for each layer. */
  public List<Run> runs(LinearLayer layer) {
    return tap(layer).scoredOnly() ? scored : read;
  }

  @Override
  public void close() {
    scope.close();
  }
}
