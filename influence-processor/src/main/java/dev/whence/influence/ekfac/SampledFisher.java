package dev.whence.influence.ekfac;

import dev.whence.engine.EngineException;
import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Matrix;
import dev.whence.engine.kernel.Taps;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.RowPacker;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.corpus.CorpusDocument;
import dev.whence.influence.model.TappedModel;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * Products with the Fisher information of a sample of documents, without any factorisation:
 *
 * <pre>
 *   F v = (1/N) sum over sequences i of g_i (g_i' v),
 * </pre>
 *
 * g_i the gradient of sequence i's loss by all layers together, labels drawn from the model, N the
 * sample's tokens. No g_i is ever formed: with D_i, A_i a sequence's output gradients and inputs,
 * s_i = g_i' v is the sum over layers and tokens of d_t' V a_t, and s_i g_i is (s_i D_i)' A_i.
 * Unlike EK-FAC it has the parts between layers and between eigenvectors; unlike the whole Fisher
 * it knows its sample only.
 *
 * <p>The labels are the same at each product, so that F is one matrix. Cost of a product: one
 * forward and backward of the sample, and 4 O I multiply-adds per token and layer, in fp64.
 */
public final class SampledFisher {
  private final TappedModel model;
  private final List<CorpusDocument> documents;
  private final List<Example> examples;
  private final LabelSeed labels;
  private final int packTokens;
  private final double tokens;

  /**
   * @param model stays the caller's to close; its layers are those of the vectors
   * @param seed of the labels
   * @throws InfluenceException if no token of the documents counts
   */
  public SampledFisher(
      TappedModel model, List<CorpusDocument> documents, long seed, int packTokens) {
    this.model = model.unrounded();
    this.documents = List.copyOf(documents);
    this.examples =
        documents.stream()
            .flatMap(document -> document.examples().stream())
            .map(LabelSeed::forSquares)
            .toList();
    this.labels = new LabelSeed(seed);
    this.packTokens = packTokens;
    this.tokens = documents.stream().mapToDouble(CorpusDocument::weight).sum();
    if (!(tokens > 0)) {
      throw new InfluenceException("The sample of the corpus has no token whose loss counts.");
    }
  }

  /** N of the sample. */
  public double tokens() {
    return tokens;
  }

  /**
   * F v, [O, I] by the layer's name, as v is.
   *
   * @throws InfluenceException that names the line if the model can not be run on a document
   */
  public Map<String, double[]> times(Map<String, double[]> v) {
    Map<String, Matrix> directions = new LinkedHashMap<>();
    Map<String, Matrix> sums = new LinkedHashMap<>();
    try {
      for (LinearLayer layer : model.layers()) {
        double[] values = Objects.requireNonNull(v.get(layer.name()), layer.name());
        directions.put(layer.name(), model.matrices().of(layer.outputs(), layer.inputs(), values));
        sums.put(layer.name(), model.matrices().zeros(layer.outputs(), layer.inputs()));
      }
      for (RowPacker.Packed pack : model.pack(examples, packTokens)) {
        try (Taps taps = model.tap(pack, labels.of(pack, examples))) {
          double[] products = products(taps, directions);
          for (LinearLayer layer : model.layers()) {
            add(taps, layer, products, Objects.requireNonNull(sums.get(layer.name())));
          }
        }
      }
      Map<String, double[]> result = new LinkedHashMap<>();
      sums.forEach((name, sum) -> result.put(name, divided(sum.doubles())));
      return result;
    } catch (EngineException e) {
      throw CorpusDocument.failed(documents, e);
    } finally {
      directions.values().forEach(Matrix::close);
      sums.values().forEach(Matrix::close);
    }
  }

  private double[] divided(double[] sum) {
    for (int i = 0; i < sum.length; i++) {
      sum[i] /= tokens;
    }
    return sum;
  }

  /** g_i' v of each document of a pack. */
  private double[] products(Taps taps, Map<String, Matrix> directions) {
    double[] products = new double[0];
    for (LinearLayer layer : model.layers()) {
      Matrix direction = Objects.requireNonNull(directions.get(layer.name()));
      double[] parts;
      try (Matrix inputs = taps.input(layer).inDouble();
          Matrix gradients = taps.gradient(layer).inDouble();
          Matrix image = inputs.timesTransposed(direction);
          Matrix rows = image.rowProducts(gradients)) {
        parts = rows.doubles();
      }
      for (Taps.Run run : taps.runs(layer)) {
        if (run.document() >= products.length) {
          products = Arrays.copyOf(products, run.document() + 1);
        }
        for (int t = run.from(); t < run.to(); t++) {
          products[run.document()] += parts[t];
        }
      }
    }
    return products;
  }

  /** sum += sum over documents of s_i D_i' A_i. */
  private void add(Taps taps, LinearLayer layer, double[] products, Matrix sum) {
    List<Double> byRow = new ArrayList<>();
    for (Taps.Run run : taps.runs(layer)) {
      for (int t = run.from(); t < run.to(); t++) {
        byRow.add(products[run.document()]);
      }
    }
    double[] scales = byRow.stream().mapToDouble(Double::doubleValue).toArray();
    try (Matrix column = model.matrices().of(scales.length, 1, scales);
        Matrix inputs = taps.input(layer).inDouble();
        Matrix gradients = taps.gradient(layer).inDouble()) {
      gradients.scale(column);
      try (Matrix part = gradients.transposedTimes(inputs)) {
        sum.add(part);
      }
    }
  }
}
