package dev.whence.benchmarks.influence;

import dev.whence.engine.EngineOptions;
import dev.whence.engine.kernel.LinearLayer;
import dev.whence.influence.corpus.CorpusDocument;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.ekfac.FactorsJob;
import dev.whence.influence.index.BlockSketch;
import dev.whence.influence.model.LayerSelection;
import dev.whence.influence.model.Measure;
import dev.whence.influence.model.TappedModel;
import dev.whence.influence.query.MultiStageQuery;
import dev.whence.samples.recipes.Recipe;
import dev.whence.samples.recipes.RecipeTexts;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * Two models of one line, their factors, and the documents of the first one's corpus. Factors are
 * of what each stage's training saw, all of it or a part, and stay in the directory: the next run
 * has them.
 */
final class TrainedStages implements AutoCloseable {
  private static final int PACK_TOKENS = 2048;

  private final TappedModel base;
  private final TappedModel chat;
  private final EkfacFactors pretraining;
  private final EkfacFactors fineTuning;
  private final List<CorpusDocument> corpus;

  /** What is opened. */
  record Stage(Recipe recipe, Path model) {}

  /**
   * Opens and computes what is missing.
   *
   * @param work keeps corpus and factors
   * @param every so manyth step of training counts for the factors
   */
  TrainedStages(Stage first, Stage second, Path work, int every, Consumer<String> progress)
      throws IOException {
    Files.createDirectories(work);
    EngineOptions engine = EngineOptions.defaults().withDevice("cpu");
    base = TappedModel.open(first.model(), LayerSelection.ALL, engine);
    chat = TappedModel.open(second.model(), LayerSelection.ALL, engine);
    pretraining = factors(base, first.recipe(), work.resolve("pretraining"), every, progress);
    fineTuning = factors(chat, second.recipe(), work.resolve("fine-tuning"), every, progress);
    Path documents = work.resolve("documents.jsonl");
    new RecipeTexts(first.recipe()).writeDocuments(documents);
    corpus = new CorpusFile(documents).documents(base.texts());
  }

  private static EkfacFactors factors(
      TappedModel model, Recipe recipe, Path stage, int every, Consumer<String> progress)
      throws IOException {
    Path output = stage.resolveSibling(stage.getFileName() + "-every-" + every);
    Path mixture = output.resolveSibling(output.getFileName() + ".jsonl");
    if (!Files.exists(mixture)) {
      Path beside = mixture.resolveSibling(mixture.getFileName() + ".writing");
      new RecipeTexts(recipe).writeMixture(beside, every);
      Files.move(beside, mixture, StandardCopyOption.ATOMIC_MOVE);
    }
    progress.accept("factors of " + recipe.name());
    new FactorsJob(
            model,
            new CorpusFile(mixture),
            output,
            FactorsJob.Options.DEFAULT.withPackTokens(PACK_TOKENS))
        .run(FactorsJob.Listener.NONE);
    return EkfacFactors.read(output, model.matrices());
  }

  InfluenceMethods methods(int buckets) {
    return new InfluenceMethods(
        base, chat, pretraining, fineTuning, corpus, new BlockSketch(buckets, 1));
  }

  /** Layers whose gradients count. */
  List<LinearLayer> layers() {
    return pretraining.layers();
  }

  /**
   * Whole gradients of the corpus for multi-stage queries.
   *
   * @param documents at most, spread evenly; 0: all
   */
  WholeGradients whole(Damping lambda, Damping alpha, int documents, Measure ofDocuments) {
    List<CorpusDocument> chosen = new ArrayList<>();
    int n = documents == 0 ? corpus.size() : Math.min(documents, corpus.size());
    for (int i = 0; i < n; i++) {
      chosen.add(corpus.get((int) ((long) i * corpus.size() / n)));
    }
    return new WholeGradients(
        chat,
        base,
        pretraining,
        new MultiStageQuery(pretraining, Optional.of(fineTuning), base.matrices()),
        lambda,
        alpha,
        chosen,
        ofDocuments);
  }

  @Override
  public void close() {
    pretraining.close();
    fineTuning.close();
    chat.close();
    base.close();
  }
}
