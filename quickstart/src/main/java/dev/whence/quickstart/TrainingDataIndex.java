package dev.whence.quickstart;

import dev.whence.engine.EngineOptions;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.corpus.Progress;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.ekfac.FactorsJob;
import dev.whence.influence.index.IndexJob;
import dev.whence.influence.index.IndexManifest;
import dev.whence.influence.index.ShardFile;
import dev.whence.influence.model.LayerSelection;
import dev.whence.influence.model.Measure;
import dev.whence.influence.model.TappedModel;
import dev.whence.samples.recipes.Recipe;
import dev.whence.samples.recipes.RecipeTexts;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.Locale;
import java.util.concurrent.CancellationException;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/**
 * What influence needs of two models of one line, in a directory: the EK-FAC factors of what each
 * stage of training saw, and an index of the documents of the first. Whatever is there already is
 * kept, so that only the first run computes, and one that was cut off goes on.
 *
 * @param directory of these two models
 * @param base recipe of the first stage
 * @param baseModel where its model lies
 * @param chat recipe of the second stage
 * @param chatModel where its model lies
 * @param every so manyth step of each training counts for the factors
 */
record TrainingDataIndex(
    Path directory, Recipe base, Path baseModel, Recipe chat, Path chatModel, int every) {

  /** Small: between two times that this many, times 16, are computed, nobody can stop it. */
  private static final int PACK_TOKENS = 512;

  private static final Duration SAVE_EVERY = Duration.ofSeconds(15);

  /** Directory of the index; one of another version's format lies in another and is not read. */
  Path index() {
    return directory.resolve("index-" + ShardFile.FORMAT.toLowerCase(Locale.ROOT));
  }

  /** Directory of both stages' factors. */
  Path factors() {
    return directory.resolve("factors");
  }

  /** Whether all of it is there. */
  boolean isComplete() {
    return Files.isDirectory(index()) && IndexManifest.isIn(index());
  }

  /**
   * Computes what is missing.
   *
   * @param stopping ends it soon
   * @param at hears what is being computed
   * @throws CancellationException if it was ended
   * @throws dev.whence.influence.InfluenceException if a file can not be read or written, or is not
   *     of these models
   */
  void complete(BooleanSupplier stopping, Consumer<String> at) throws IOException {
    Files.createDirectories(directory);
    EngineOptions engine = EngineOptions.defaults().withDevice("cpu");
    FactorsJob.Listener listener = listener(stopping);
    try (TappedModel model = TappedModel.open(chatModel, LayerSelection.ALL, engine)) {
      factors(model, chat, listener, at);
    }
    try (TappedModel model = TappedModel.open(baseModel, LayerSelection.ALL, engine)) {
      factors(model, base, listener, at);
      at.accept("the index of what " + base.name() + " read is being built");
      Path documents = text("documents.jsonl", new RecipeTexts(base)::writeDocuments);
      try (EkfacFactors factors = EkfacFactors.readInSingle(factorsOf(base), model.matrices())) {
        new IndexJob(
                model,
                baseModel,
                factors,
                factorsOf(base),
                new CorpusFile(documents),
                index(),
                IndexJob.Options.of(IndexJob.defaultBuckets(factors))
                    .withMeasure(Measure.LOG_ODDS)
                    .withPackTokens(PACK_TOKENS)
                    .withSaveEvery(SAVE_EVERY))
            .run(listener);
      }
    }
  }

  private void factors(
      TappedModel model, Recipe recipe, FactorsJob.Listener listener, Consumer<String> at)
      throws IOException {
    at.accept("the factors of " + recipe.name() + " are being computed");
    Path mixture =
        text(
            recipe.name() + "-every-" + every + ".jsonl",
            file -> {
              long unused = new RecipeTexts(recipe).writeMixture(file, every);
            });
    boolean unused =
        new FactorsJob(
                model,
                new CorpusFile(mixture),
                factorsOf(recipe),
                FactorsJob.Options.DEFAULT.withPackTokens(PACK_TOKENS).withSaveEvery(SAVE_EVERY))
            .run(listener);
  }

  private Path factorsOf(Recipe recipe) {
    return factors().resolve(recipe.name() + "-every-" + every);
  }

  private static FactorsJob.Listener listener(BooleanSupplier stopping) {
    return new FactorsJob.Listener() {
      @Override
      public void pass(String pass, long bytesDone, Progress progress) {
        if (stopping.getAsBoolean()) {
          throw new CancellationException("stopped at " + pass);
        }
      }
    };
  }

  private interface Writing {
    void write(Path file) throws IOException;
  }

  /** A file of this directory; one that is there is whole. */
  private Path text(String name, Writing writing) throws IOException {
    Path file = directory.resolve(name);
    if (!Files.exists(file)) {
      Path growing = directory.resolve(name + ".growing");
      writing.write(growing);
      Files.move(growing, file, StandardCopyOption.REPLACE_EXISTING);
    }
    return file;
  }
}
