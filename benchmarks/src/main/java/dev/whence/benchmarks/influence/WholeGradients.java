package dev.whence.benchmarks.influence;

import dev.whence.engine.kernel.LinearLayer;
import dev.whence.influence.corpus.CorpusDocument;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.index.BlockSketch;
import dev.whence.influence.index.QueryPlanes;
import dev.whence.influence.index.RotatedSketch;
import dev.whence.influence.index.SignCodes;
import dev.whence.influence.index.WhitenedGradients;
import dev.whence.influence.model.Measure;
import dev.whence.influence.model.TappedModel;
import dev.whence.influence.query.MultiStageQuery;
import dev.whence.influence.query.ResponseGradient;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * Whole whitened gradients of documents against whole preconditioned queries, and sketches of
 * several sizes of the same vectors. A document's vector is dropped as soon as it is counted.
 */
final class WholeGradients implements AutoCloseable {
  private final TappedModel answering;
  private final MultiStageQuery query;
  private final Damping lambda;
  private final Damping alpha;
  private final List<CorpusDocument> corpus;
  private final WhitenedGradients gradients;
  private final Map<String, Long> firsts = new LinkedHashMap<>();
  private List<BlockSketch> sketches = List.of();
  private final List<Map<String, float[]>> whole = new ArrayList<>();
  private final List<List<QueryPlanes>> sketched = new ArrayList<>();

  /**
   * @param answering the model that answers
   * @param indexed the model whose documents they are
   * @param factors of that
   */
  WholeGradients(
      TappedModel answering,
      TappedModel indexed,
      EkfacFactors factors,
      MultiStageQuery query,
      Damping lambda,
      Damping alpha,
      List<CorpusDocument> corpus,
      Measure ofDocuments) {
    this.answering = answering;
    this.query = query;
    this.lambda = lambda;
    this.alpha = alpha;
    this.corpus = List.copyOf(corpus);
    this.gradients = new WhitenedGradients(indexed, factors, lambda, ofDocuments);
    long first = 0;
    for (var layer : factors.layers()) {
      firsts.put(layer.name(), first);
      first += layer.elements();
    }
  }

  int documents() {
    return corpus.size();
  }

  /** Takes queries and the sizes that are compared. */
  void ask(List<TruthQuery> queries, List<BlockSketch> sizes) {
    sketches = List.copyOf(sizes);
    for (TruthQuery asked : queries) {
      ResponseGradient gradient =
          ResponseGradient.of(
              answering, answering.texts().conversation(asked.answered()), Measure.LOG_LIKELIHOOD);
      MultiStageQuery.Whitened whitened = query.whitened(gradient, alpha, lambda, lambda);
      whole.add(whitened.vector());
      sketched.add(
          sizes.stream()
              .map(size -> QueryPlanes.fine(RotatedSketch.of(whitened.sketch(size))))
              .toList());
    }
  }

  /** A query's sketch of a size. */
  QueryPlanes query(int number, int size) {
    return sketched.get(number).get(size);
  }

  /**
   * A document.
   *
   * @param products with the whole vectors of the queries
   * @param sketches by size
   */
  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  record Vector(int document, double[] products, List<SignCodes> sketches) {}

  /** Documents from a place on, so many at most. */
  List<Vector> vectors(int from, int most, int packTokens) {
    List<CorpusDocument> documents = corpus.subList(from, Math.min(corpus.size(), from + most));
    double[][] products = new double[documents.size()][whole.size()];
    List<List<float[]>> sums = new ArrayList<>();
    for (int i = 0; i < documents.size(); i++) {
      sums.add(sketches.stream().map(sketch -> new float[sketch.buckets()]).toList());
    }
    gradients.forEach(
        documents,
        packTokens,
        (layer, document, first, values) ->
            add(layer, first, values.floats(), products[document], sums.get(document)));
    List<Vector> vectors = new ArrayList<>();
    for (int i = 0; i < documents.size(); i++) {
      vectors.add(
          new Vector(
              from + i,
              products[i],
              sums.get(i).stream().map(RotatedSketch::of).map(SignCodes::of).toList()));
    }
    return vectors;
  }

  /** Adds some of a document's elements in a layer to its products and sketches. */
  private void add(
      LinearLayer layer, int from, float[] part, double[] products, List<float[]> sums) {
    long first = Objects.requireNonNull(firsts.get(layer.name())) + from;
    for (int s = 0; s < sketches.size(); s++) {
      sketches.get(s).add(part, first, sums.get(s));
    }
    for (int q = 0; q < whole.size(); q++) {
      float[] asked = Objects.requireNonNull(whole.get(q).get(layer.name()));
      products[q] += SketchedCorpus.product(part, asked, from);
    }
  }

  @Override
  public void close() {
    gradients.close();
  }
}
