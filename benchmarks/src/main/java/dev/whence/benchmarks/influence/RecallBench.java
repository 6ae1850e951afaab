package dev.whence.benchmarks.influence;

import dev.whence.benchmarks.Machine;
import dev.whence.benchmarks.fidelity.Interval;
import dev.whence.benchmarks.fidelity.Ranking;
import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.TorchRuntime;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.index.BlockSketch;
import dev.whence.influence.index.IndexJob;
import dev.whence.influence.index.SignCodes;
import dev.whence.influence.model.Measure;
import dev.whence.samples.BundledModels;
import dev.whence.samples.Document;
import dev.whence.samples.recipes.Recipe;
import dev.whence.samples.recipes.Recipes;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;

/**
 * What sketches cost in recall: whole gradients of the documents, preconditioned exactly, against
 * sketches of 1/50 to 1/1600 of their bytes in fp32, kept by their signs as an index has them.
 * Answers of chat-v1 from memory, multi-stage influence of base-v1's documents.
 */
public final class RecallBench {
  /** One over what an index keeps of a whole gradient's bytes. */
  static final List<Integer> SHARES = List.of(50, 100, 200, 400, 800, 1600);

  /** Candidates of each sign. */
  static final List<Integer> RERANKS = List.of(50, 100, 200);

  private static final int AT_ONCE = 64;
  private static final int PACK_TOKENS = 1024;

  private RecallBench() {}

  /**
   * What to measure.
   *
   * @param work directory that keeps factors from run to run
   * @param queries at most
   * @param documents at most, spread evenly over the corpus; 0: all
   * @param every so manyth step of training counts for the factors
   * @param lambda of the index and of the query
   * @param alpha of fine-tuning
   */
  public record Options(
      Path work, int queries, int documents, int every, Damping lambda, Damping alpha) {
    public Options {
      if (queries < 1 || every < 1 || documents < 0) {
        throw new IllegalArgumentException(
            "at least one query, every step or fewer, and no negative number of documents: not "
                + queries
                + ", "
                + every
                + " and "
                + documents);
      }
    }
  }

  /** Measures once. */
  public static RecallReport run(Options options, Consumer<String> progress) throws IOException {
    String started = Instant.now().toString();
    Recipe base = Recipes.named("base-v1").orElseThrow();
    Recipe chat = Recipes.named(BundledModels.CHAT).orElseThrow();
    Path chatModel = BundledModels.unpack(chat.name());
    List<Document> documents = Recipes.documents(base);
    List<TruthQuery> queries =
        KnownTruth.of(base.world().get(), documents, chatModel, options.queries());
    TorchRuntime.workAlone(); // a document's matrices are too small to be shared by threads
    try (TrainedStages stages =
        new TrainedStages(
            new TrainedStages.Stage(base, BundledModels.unpack(base.name())),
            new TrainedStages.Stage(chat, chatModel),
            options.work(),
            options.every(),
            progress)) {
      long elements = stages.layers().stream().mapToLong(LinearLayer::elements).sum();
      List<BlockSketch> sketches =
          SHARES.stream()
              .map(share -> new BlockSketch((int) IndexJob.buckets(elements, share), 1))
              .toList();
      List<RecallReport.Row> rows = new ArrayList<>();
      int counted = 0;
      for (Measure measure : Measure.values()) {
        Scored scored = scored(stages, options, queries, sketches, measure, progress);
        counted = scored.exact()[0].length;
        for (int s = 0; s < SHARES.size(); s++) {
          rows.add(row(measure, SHARES.get(s), sketches.get(s).buckets(), scored, s));
        }
      }
      return new RecallReport(
          started, Machine.here(), queries.size(), counted, elements, RERANKS, rows);
    }
  }

  /**
   * Products with all documents.
   *
   * @param exact of whole vectors, [query][document]
   * @param estimates of sketches, [size][query][document]
   */
  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  private record Scored(double[][] exact, double[][][] estimates) {}

  private static Scored scored(
      TrainedStages stages,
      Options options,
      List<TruthQuery> queries,
      List<BlockSketch> sketches,
      Measure measure,
      Consumer<String> progress) {
    WholeGradients whole =
        stages.whole(options.lambda(), options.alpha(), options.documents(), measure);
    int q = queries.size();
    int n = whole.documents();
    double[][] exact = new double[q][n];
    double[][][] estimates = new double[sketches.size()][q][n];
    try (whole) {
      whole.ask(queries, sketches);
      for (int at = 0; at < n; at += AT_ONCE) {
        for (WholeGradients.Vector vector : whole.vectors(at, AT_ONCE, PACK_TOKENS)) {
          for (int i = 0; i < q; i++) {
            exact[i][vector.document()] = vector.products()[i];
          }
          for (int s = 0; s < sketches.size(); s++) {
            SignCodes codes = vector.sketches().get(s);
            for (int i = 0; i < q; i++) {
              estimates[s][i][vector.document()] =
                  whole.query(i, s).product(codes.signs()) * codes.scale();
            }
          }
        }
        progress.accept(
            String.format(
                Locale.ROOT,
                "documents by %s: %d of %d",
                measure.label(),
                Math.min(n, at + AT_ONCE),
                n));
      }
    }
    return new Scored(exact, estimates);
  }

  private static RecallReport.Row row(
      Measure measure, int share, int buckets, Scored scored, int size) {
    List<Double> unranked = new ArrayList<>();
    List<Double> correlations = new ArrayList<>();
    List<List<Double>> recalls = new ArrayList<>();
    RERANKS.forEach(rerank -> recalls.add(new ArrayList<>()));
    for (int q = 0; q < scored.exact().length; q++) {
      double[] exact = scored.exact()[q];
      double[] estimates = scored.estimates()[size][q];
      unranked.add(SketchRecall.unranked(exact, estimates));
      Ranking.spearman(estimates, exact).ifPresent(correlations::add);
      for (int r = 0; r < RERANKS.size(); r++) {
        recalls.get(r).add(SketchRecall.of(exact, estimates, RERANKS.get(r)));
      }
    }
    return new RecallReport.Row(
        measure,
        share,
        buckets,
        Interval.of(correlations),
        Interval.of(unranked),
        recalls.stream().map(Interval::of).toList());
  }
}
