package dev.whence.influence.query;

import dev.whence.engine.kernel.Labels;
import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Matrix;
import dev.whence.engine.kernel.Taps;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.RowPacker;
import dev.whence.influence.corpus.CorpusDocument;
import dev.whence.influence.model.Measure;
import dev.whence.influence.model.TappedModel;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * Influences of documents with their gradients computed anew, no sketch: V' g_i / N = (1/N) sum
 * over layers and tokens of d_t' V a_t. The gradient itself is never formed, and its parts by layer
 * and by token come with it.
 *
 * <p>A token's part is what its place in the document contributes: its inputs, and through them the
 * predictions of the tokens after it. Cost: one forward and backward of the documents.
 */
public final class ExactInfluence {
  private final TappedModel model;
  private final Measure measure;
  private final int packTokens;

  /**
   * @param model whose gradients count; stays the caller's
   * @param measure of documents
   */
  public ExactInfluence(TappedModel model, Measure measure, int packTokens) {
    this.model = model;
    this.measure = measure;
    this.packTokens = packTokens;
  }

  /**
   * Of one document.
   *
   * @param influence nats, positive: made the response more likely
   * @param byLayer its parts by layer; they sum to it
   * @param byToken its parts by token, the pieces of a long document one after the other; they sum
   *     to it
   */
  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  public record Breakdown(double influence, Map<String, Double> byLayer, double[] byToken) {}

  /** Of each document, in their order. */
  public List<Breakdown> of(MultiStageQuery.Preconditioned query, List<CorpusDocument> documents) {
    List<Example> examples = new ArrayList<>();
    List<Integer> owners = new ArrayList<>();
    List<Integer> starts = new ArrayList<>();
    List<double[]> byToken = new ArrayList<>();
    List<Map<String, Double>> byLayer = new ArrayList<>();
    for (int i = 0; i < documents.size(); i++) {
      int start = 0;
      for (Example example : documents.get(i).examples()) {
        examples.add(example);
        owners.add(i);
        starts.add(start);
        start += example.length();
      }
      byToken.add(new double[start]);
      byLayer.add(new LinkedHashMap<>());
    }
    Map<String, Matrix> directions = new LinkedHashMap<>();
    try {
      for (LinearLayer layer : model.layers()) {
        double[] v = Objects.requireNonNull(query.direction().get(layer.name()), layer.name());
        float[] values = new float[v.length];
        for (int i = 0; i < v.length; i++) {
          values[i] = (float) (v[i] / query.tokens());
        }
        directions.put(layer.name(), model.matrices().of(layer.outputs(), layer.inputs(), values));
      }
      for (RowPacker.Packed pack :
          model.pack(model.sloped(examples, measure, packTokens), packTokens)) {
        try (Taps taps = model.tap(pack, new Labels.Given())) {
          for (LinearLayer layer : model.layers()) {
            float[] parts = parts(taps, layer, directions);
            for (Taps.Run run : taps.runs(layer)) {
              int owner = owners.get(run.document());
              int start = starts.get(run.document());
              int[] places = places(examples.get(run.document()), run.length());
              double sum = 0;
              for (int t = 0; t < run.length(); t++) {
                byToken.get(owner)[start + places[t]] += parts[run.from() + t];
                sum += parts[run.from() + t];
              }
              byLayer.get(owner).merge(layer.name(), sum, Double::sum);
            }
          }
        }
      }
    } finally {
      directions.values().forEach(Matrix::close);
    }
    List<Breakdown> result = new ArrayList<>();
    for (int i = 0; i < documents.size(); i++) {
      double influence = byLayer.get(i).values().stream().mapToDouble(Double::doubleValue).sum();
      result.add(new Breakdown(influence, byLayer.get(i), byToken.get(i)));
    }
    return result;
  }

  /** d_t' V a_t of each row. */
  private static float[] parts(Taps taps, LinearLayer layer, Map<String, Matrix> directions) {
    try (Matrix image =
            taps.input(layer)
                .timesTransposed(Objects.requireNonNull(directions.get(layer.name())));
        Matrix products = image.rowProducts(taps.gradient(layer))) {
      return products.floats();
    }
  }

  /** Which tokens the rows of a layer are: all that are read, or only those that predict. */
  private static int[] places(Example example, int rows) {
    int[] places = new int[rows];
    boolean all = rows == example.length() - 1;
    int row = 0;
    for (int i = 0; i + 1 < example.length(); i++) {
      if (all || example.lossWeights()[i + 1] != 0) {
        places[row++] = i;
      }
    }
    return places;
  }
}
