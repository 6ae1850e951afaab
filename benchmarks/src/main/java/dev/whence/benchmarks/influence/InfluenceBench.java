package dev.whence.benchmarks.influence;

import dev.whence.benchmarks.Machine;
import dev.whence.engine.kernel.TorchRuntime;
import dev.whence.influence.ekfac.Damping;
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
 * Whether influence finds the documents that taught a fact: right answers of chat-v1 to questions
 * without a context, on facts that its fine-tuning never asks, and for each whether documents that
 * state the fact come first. Beside it what is cheaper: gradients without curvature,
 * representations, BM25.
 */
public final class InfluenceBench {
  private InfluenceBench() {}

  /**
   * What to measure.
   *
   * @param work directory that keeps factors from run to run
   * @param queries at most
   * @param buckets of sketches
   * @param every so manyth step of training counts for the factors
   * @param dampings lambda of EK-FAC, each tried; empty: only what it is measured against
   * @param alpha of fine-tuning
   */
  public record Options(
      Path work, int queries, int buckets, int every, List<Damping> dampings, Damping alpha) {
    public Options {
      dampings = List.copyOf(dampings);
      if (queries < 1 || every < 1) {
        throw new IllegalArgumentException(
            "at least one query, and every step or fewer: not " + queries + " and " + every);
      }
    }
  }

  /** Measures once. */
  public static InfluenceReport run(Options options, Consumer<String> progress) throws IOException {
    String started = Instant.now().toString();
    Recipe base = Recipes.named("base-v1").orElseThrow();
    Recipe chat = Recipes.named(BundledModels.CHAT).orElseThrow();
    Path chatModel = BundledModels.unpack(chat.name());
    List<Document> documents = Recipes.documents(base);
    List<TruthQuery> queries =
        KnownTruth.of(base.world().get(), documents, chatModel, options.queries());
    progress.accept(
        String.format(
            Locale.ROOT,
            "%d right answers from memory, %d documents",
            queries.size(),
            documents.size()));
    List<Retrieval> rows = new ArrayList<>();
    TorchRuntime.workAlone(); // a document's matrices are too small to be shared by threads
    try (TrainedStages stages =
        new TrainedStages(
            new TrainedStages.Stage(base, BundledModels.unpack(base.name())),
            new TrainedStages.Stage(chat, chatModel),
            options.work(),
            options.every(),
            progress)) {
      InfluenceMethods methods = stages.methods(options.buckets());
      List<String> texts = documents.stream().map(Document::text).toList();
      for (DocumentScores method : methods.baselines(texts)) {
        methods.forgetGradients();
        measure(method, "", queries, rows, progress);
      }
      for (Damping lambda : options.dampings()) {
        for (Measure ofDocuments : Measure.values()) {
          for (DocumentScores method : methods.ekfac(lambda, options.alpha(), ofDocuments)) {
            methods.forgetGradients();
            measure(
                method,
                ", documents by " + ofDocuments.label() + ", lambda " + lambda.text(),
                queries,
                rows,
                progress);
          }
        }
      }
    }
    return new InfluenceReport(
        started, Machine.here(), queries.size(), documents.size(), options.buckets(), rows);
  }

  private static void measure(
      DocumentScores method,
      String suffix,
      List<TruthQuery> queries,
      List<Retrieval> rows,
      Consumer<String> progress) {
    Retrieval row = Retrieval.of(method.name() + suffix, method, queries);
    rows.add(row);
    progress.accept(
        String.format(
            Locale.ROOT,
            "%s: hit %.2f, first %.2f",
            row.method(),
            row.hit().share(),
            row.first().share()));
  }
}
