package dev.whence.influence.query;

import dev.whence.engine.EngineOptions;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.ekfac.FactorFiles;
import dev.whence.influence.index.GradientIndex;
import dev.whence.influence.index.IndexSettings;
import dev.whence.influence.model.LayerSelection;
import dev.whence.influence.model.TappedModel;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;

/** A search with all that it reads, opened from files; closing it frees them. */
public final class OpenedSearch implements AutoCloseable {
  /**
   * Where things are; what is empty is taken from where it was when the index was built.
   *
   * @param index directory of the index
   * @param answering the model that answered; empty: the indexed one
   * @param fineTuning factors of the model that answered; empty: single-stage
   * @param indexed the model whose gradients are indexed
   * @param pretraining factors of the indexed model
   * @param corpus that the index is of
   */
  public record Files(
      Path index,
      Optional<Path> answering,
      Optional<Path> fineTuning,
      Optional<Path> indexed,
      Optional<Path> pretraining,
      Optional<Path> corpus) {
    /** All from the index, single-stage. */
    public static Files of(Path index) {
      return new Files(
          index,
          Optional.empty(),
          Optional.empty(),
          Optional.empty(),
          Optional.empty(),
          Optional.empty());
    }

    /** A model that answered, and the factors of its fine-tuning. */
    public Files withAnswering(Path model, Optional<Path> factors) {
      return new Files(index, Optional.of(model), factors, indexed, pretraining, corpus);
    }
  }

  private final Deque<Runnable> opened;
  private final InfluenceSearch search;
  private final GradientIndex index;

  private OpenedSearch(Deque<Runnable> opened, InfluenceSearch search, GradientIndex index) {
    this.opened = opened;
    this.search = search;
    this.index = index;
  }

  /**
   * Opens and checks all of it.
   *
   * @throws dev.whence.influence.InfluenceException if something is missing, damaged, or does not
   *     belong to the rest
   */
  public static OpenedSearch open(Files files, EngineOptions options) {
    Deque<Runnable> opened = new ArrayDeque<>();
    boolean complete = false;
    GradientIndex index = GradientIndex.open(files.index());
    IndexSettings settings = index.settings();
    Path factorsPath = files.pretraining().orElseGet(settings::whereFactorsWere);
    try (FactorFiles factorFiles = FactorFiles.open(factorsPath)) {
      LayerSelection selection = new LayerSelection(factorFiles.stage().layerSelection());
      Path indexedPath = files.indexed().orElseGet(settings::whereModelWas);
      TappedModel indexed = TappedModel.open(indexedPath, selection, options);
      opened.push(indexed::close);
      TappedModel answering = indexed;
      if (files.answering().isPresent() && !files.answering().get().equals(indexedPath)) {
        answering = TappedModel.open(files.answering().get(), selection, options);
        opened.push(answering::close);
      }
      EkfacFactors pretraining = factorFiles.inDouble(answering.matrices());
      opened.push(pretraining::close);
      Optional<EkfacFactors> fineTuning = Optional.empty();
      if (files.fineTuning().isPresent()) {
        EkfacFactors factors = EkfacFactors.read(files.fineTuning().get(), answering.matrices());
        opened.push(factors::close);
        fineTuning = Optional.of(factors);
      }
      CorpusFile corpus = new CorpusFile(files.corpus().orElseGet(settings::whereCorpusWas));
      InfluenceSearch search =
          new InfluenceSearch(answering, indexed, pretraining, fineTuning, index, corpus);
      complete = true;
      return new OpenedSearch(opened, search, index);
    } finally {
      if (!complete) {
        close(opened);
      }
    }
  }

  public InfluenceSearch search() {
    return search;
  }

  public GradientIndex index() {
    return index;
  }

  private static void close(Deque<Runnable> opened) {
    while (!opened.isEmpty()) {
      opened.pop().run();
    }
  }

  @Override
  public void close() {
    close(opened);
  }
}
