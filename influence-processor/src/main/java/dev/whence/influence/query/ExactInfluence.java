package dev.whence.influence.query;

import dev.whence.engine.EngineException;
import dev.whence.engine.kernel.Labels;
import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Matrix;
import dev.whence.engine.kernel.Taps;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.RowPacker;
import dev.whence.engine.training.TrainingTexts;
import dev.whence.influence.corpus.CorpusDocument;
import dev.whence.influence.model.Measure;
import dev.whence.influence.model.TappedModel;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

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
    this.model = model.unrounded();
    this.measure = measure;
    this.packTokens = packTokens;
  }

  /**
   * Of one document.
   *
   * @param influence nats, positive: made the response more likely
   * @param byLayer its parts by layer; they sum to it
   * @param byToken its parts by token of all of its text; they sum to it, and are 0 where nothing
   *     was learnt
   */
  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  public record Breakdown(double influence, Map<String, Double> byLayer, double[] byToken) {}

  /** Packs that are made at once: between them it is asked whether there is time for more. */
  private static final int PACKS_AT_ONCE = 4;

  /** Of each document, in their order. */
  public List<Breakdown> of(MultiStageQuery.Preconditioned query, List<CorpusDocument> documents) {
    return of(query, documents, RankingBudget.unbounded()).stream()
        .map(Optional::orElseThrow)
        .toList();
  }

  /**
   * Of documents, in their order, as far as the budget goes: the first ones first.
   *
   * @return empty for a document that was not begun or, being longer than the model reads, not
   *     ended in time
   * @throws dev.whence.influence.InfluenceException that names the line if the model can not be run
   *     on a document
   */
  public List<Optional<Breakdown>> of(
      MultiStageQuery.Preconditioned query, List<CorpusDocument> documents, RankingBudget budget) {
    List<Optional<Breakdown>> result =
        new ArrayList<>(Collections.nCopies(documents.size(), Optional.empty()));
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
      List<Integer> together = new ArrayList<>();
      long tokens = 0;
      for (int i = 0; i < documents.size(); i++) {
        int more = documents.get(i).tokens();
        // How long a token takes may be a guess: what has gathered is run before one is given up.
        if (!together.isEmpty()
            && (tokens + more > tokensAtOnce() || !budget.allows(tokens + more))) {
          run(documents, together, directions, budget, result);
          together.clear();
          tokens = 0;
        }
        if (budget.allows(tokens + more)) {
          together.add(i);
          tokens += more;
        }
      }
      run(documents, together, directions, budget, result);
      return result;
    } finally {
      directions.values().forEach(Matrix::close);
    }
  }

  private long tokensAtOnce() {
    return (long) PACKS_AT_ONCE * packTokens;
  }

  /** What belongs to one document. */
  private static final class Parts {
    final Map<String, Double> byLayer = new LinkedHashMap<>();
    final double[] byToken;

    Parts(CorpusDocument document) {
      this.byToken = new double[document.pieces().tokens()];
    }

    Breakdown whole() {
      return new Breakdown(
          byLayer.values().stream().mapToDouble(Double::doubleValue).sum(), byLayer, byToken);
    }
  }

  /**
   * A piece of a document.
   *
   * @param start its first token's place in the document
   */
  private record Piece(Example example, Parts owner, int start) {}

  /** Documents that fit into a few packs together, or a single one that is longer. */
  private void run(
      List<CorpusDocument> documents,
      List<Integer> some,
      Map<String, Matrix> directions,
      RankingBudget budget,
      List<Optional<Breakdown>> result) {
    Map<Integer, Parts> parts = new LinkedHashMap<>();
    List<Piece> pieces = new ArrayList<>();
    for (int i : some) {
      Parts own = new Parts(documents.get(i));
      parts.put(i, own);
      TrainingTexts.Pieces all = documents.get(i).pieces();
      for (int piece = 0; piece < all.examples().size(); piece++) {
        pieces.add(new Piece(all.examples().get(piece), own, all.starts().get(piece)));
      }
    }
    int from = 0;
    while (from < pieces.size()) {
      int to = from;
      long tokens = 0;
      do {
        tokens += pieces.get(to++).example().length();
      } while (to < pieces.size() && tokens + pieces.get(to).example().length() <= tokensAtOnce());
      if (from > 0 && !budget.allows(tokens)) {
        return; // a single document, for others have no more pieces than these
      }
      List<Piece> slice = pieces.subList(from, to);
      try {
        budget.run(tokens, () -> add(slice, directions));
      } catch (EngineException e) {
        throw CorpusDocument.failed(some.stream().map(documents::get).toList(), e);
      }
      from = to;
    }
    parts.forEach((i, own) -> result.set(i, Optional.of(own.whole())));
  }

  private void add(List<Piece> pieces, Map<String, Matrix> directions) {
    List<Example> examples = pieces.stream().map(Piece::example).toList();
    for (RowPacker.Packed pack :
        model.pack(model.sloped(examples, measure, packTokens), packTokens)) {
      try (Taps taps = model.tap(pack, new Labels.Given())) {
        for (LinearLayer layer : model.layers()) {
          float[] products = parts(taps, layer, directions);
          for (Taps.Run run : taps.runs(layer)) {
            Piece piece = pieces.get(run.document());
            int[] places = places(piece.example(), run.length());
            double sum = 0;
            for (int t = 0; t < run.length(); t++) {
              piece.owner().byToken[piece.start() + places[t]] += products[run.from() + t];
              sum += products[run.from() + t];
            }
            piece.owner().byLayer.merge(layer.name(), sum, Double::sum);
          }
        }
      }
    }
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
