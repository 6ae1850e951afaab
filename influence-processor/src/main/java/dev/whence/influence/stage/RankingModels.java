package dev.whence.influence.stage;

import dev.whence.conversation.Conversation;
import dev.whence.engine.EngineException;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.corpus.SeenCorpus;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.ekfac.FactorFiles;
import dev.whence.influence.index.IndexManifest;
import dev.whence.influence.index.IndexSettings;
import dev.whence.influence.index.IndexedDocument;
import dev.whence.influence.model.LayerSelection;
import dev.whence.influence.model.Measure;
import dev.whence.influence.model.TappedModel;
import dev.whence.influence.query.CandidateRanking;
import dev.whence.influence.query.DocumentInfluence;
import dev.whence.influence.query.IndexScan;
import dev.whence.influence.query.MultiStageQuery;
import dev.whence.influence.query.RankingBudget;
import dev.whence.influence.query.ResponseGradient;
import dev.whence.runtime.config.ModelSettings;
import dev.whence.runtime.models.ModelLoadException;
import dev.whence.runtime.models.ModelLocation;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.runtime.worker.Failure;
import dev.whence.schemas.avro.InfluenceQuery;
import dev.whence.schemas.avro.ModelRelease;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What candidates are ranked again with, where the documents are: the model that answered, whose
 * gradient of the response is taken once more, since in full it is far larger than the response;
 * the indexed model, for gradients of documents; and the factors of both stages. All of it is found
 * by the digests that a query names, and loaded when the first query names others than those in
 * use, so that a new release is followed at once. Not thread-safe.
 */
final class RankingModels implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(RankingModels.class);

  /** Sets of which it is known how long they take. */
  private static final int SETS_REMEMBERED = 16;

  /** What could not be loaded is not looked for again with every query. */
  private static final Duration AGAIN = Duration.ofSeconds(30);

  private final InfluenceConfig config;
  private Optional<Loaded> loaded = Optional.empty();
  private Optional<Refused> refused = Optional.empty();

  /** By path; as many as indexes are asked. */
  private final Map<Path, SeenCorpus> corpora = new HashMap<>();

  /** Stays when another set is loaded, for queries may name sets in turn; the eldest go. */
  private final Map<Key, ResponseSeconds> seconds =
      new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<Key, ResponseSeconds> eldest) {
          return size() > SETS_REMEMBERED;
        }
      };

  /**
   * What names a set. What else differs between indexes, the measure of documents and lambda0, is
   * taken from the query's own index whenever candidates are ranked.
   */
  private record Key(
      String answering, String indexed, String pretraining, String fineTuning, String corpus) {
    static Key of(String answering, String fineTuning, IndexSettings settings) {
      return new Key(
          answering,
          settings.modelDigest(),
          settings.factorsDigest(),
          fineTuning,
          settings.corpusDigest());
    }
  }

  private record Loaded(
      Key key,
      TappedModel answering,
      TappedModel indexed,
      CorpusFile corpus,
      MultiStageQuery query,
      Deque<AutoCloseable> opened) {}

  /**
   * What could not be loaded.
   *
   * @param ofEnvironment whether that says nothing about the files, which may be read later
   */
  private record Refused(Key key, String reason, boolean ofEnvironment, long until) {
    boolean stands() {
      return until - System.nanoTime() > 0;
    }
  }

  RankingModels(InfluenceConfig config) {
    this.config = config;
  }

  /**
   * Makes ready for the queries that are to be expected, before the first of them comes. What is
   * not possible is only logged: queries say what they need.
   *
   * @throws EnvironmentException if that can not be done now
   */
  void expect(Optional<ModelRelease> release) {
    try {
      Optional<ModelChoice> choice = ModelChoice.expected(release, config);
      if (choice.isEmpty()) {
        return;
      }
      ModelChoice wanted = choice.get();
      String digest = digest(wanted.path());
      IndexManifest index = wanted.index(config).manifest();
      Optional<Path> fineTuning =
          wanted.fineTuning(config, digest, index, pretraining(index.settings()));
      Optional<String> reason =
          prepare(
              Key.of(
                  digest,
                  fineTuning.map(path -> EkfacFactors.identity(path).digest()).orElse(""),
                  index.settings()),
              wanted.path().toString(),
              index.settings());
      if (reason.isPresent() && refused.filter(Refused::ofEnvironment).isPresent()) {
        throw new EnvironmentException(reason.get());
      }
    } catch (EngineException e) {
      if (e.kind() == EngineException.Kind.ENVIRONMENT) {
        throw new EnvironmentException(String.valueOf(e.getMessage()), e);
      }
      LOG.warn("nothing is loaded before the first query: {}", e.getMessage());
    } catch (InfluenceException e) {
      if (e.isOfEnvironment()) {
        throw new EnvironmentException(String.valueOf(e.getMessage()), e);
      }
      LOG.warn("nothing is loaded before the first query: {}", e.getMessage());
    } catch (ModelLoadException e) {
      if (e.getCause() instanceof EnvironmentException now) {
        throw now;
      }
      LOG.warn("nothing is loaded before the first query: {}", e.getMessage());
    }
  }

  /**
   * Makes ready for a query.
   *
   * @return why that is not possible; empty: it is ready
   */
  Optional<String> prepare(InfluenceQuery query, IndexSettings settings) {
    return prepare(
        Key.of(query.getResponseModel(), query.getFineTuningFactors(), settings),
        query.getResponseModelLocation(),
        settings);
  }

  /** Whether {@link #prepare} would have nothing to load. */
  boolean isReady(InfluenceQuery query, IndexSettings settings) {
    Key key = Key.of(query.getResponseModel(), query.getFineTuningFactors(), settings);
    return loaded.filter(one -> one.key().equals(key)).isPresent();
  }

  /** What the response of such a query takes; empty as long as its model was never loaded. */
  Optional<ResponseSeconds> seconds(InfluenceQuery query, IndexSettings settings) {
    Key key = Key.of(query.getResponseModel(), query.getFineTuningFactors(), settings);
    return Optional.ofNullable(seconds.get(key));
  }

  /** Whether {@link #prepare} has lately found that it can not make ready for such a query. */
  boolean refuses(InfluenceQuery query, IndexSettings settings) {
    Key key = Key.of(query.getResponseModel(), query.getFineTuningFactors(), settings);
    return refused.filter(one -> one.key().equals(key) && one.stands()).isPresent();
  }

  private Optional<String> prepare(Key key, String location, IndexSettings settings) {
    if (refused.isPresent() && refused.get().key().equals(key) && refused.get().stands()) {
      return Optional.of(refused.get().reason());
    }
    try {
      if (loaded.isPresent() && loaded.get().key().equals(key)) {
        check(loaded.get().corpus(), key.corpus());
        return Optional.empty();
      }
      if (config.runtime().models().reload() == ModelSettings.Reload.UNLOAD_FIRST) {
        close();
      }
      Loaded next = load(key, location, settings);
      close();
      loaded = Optional.of(next);
      refused = Optional.empty();
      LOG.info(
          "candidates are ranked again with model {}, digest {}, for documents of {}",
          next.answering().name(),
          key.answering(),
          settings.modelName());
      return Optional.empty();
    } catch (ModelLoadException e) {
      return refuse(
          key, String.valueOf(e.getMessage()), e.getCause() instanceof EnvironmentException);
    } catch (InfluenceException e) {
      return refuse(key, String.valueOf(e.getMessage()), e.isOfEnvironment());
    } catch (EngineException e) {
      if (e.kind() == EngineException.Kind.ENVIRONMENT) {
        String why = "the model can not be loaded: " + e.getMessage();
        if (e.isDeviceLost()) {
          throw EnvironmentException.ofProcess(why, e);
        }
        // Scans need no model, and queries of other models none of this one's files.
        return refuse(key, why, /* ofEnvironment= */ true);
      }
      return refuse(key, String.valueOf(e.getMessage()), /* ofEnvironment= */ false);
    } catch (EnvironmentException e) {
      throw e;
    } catch (RuntimeException e) {
      return refuse(
          key,
          "Loading what candidates are ranked with threw " + Failure.describe(e),
          /* ofEnvironment= */ false);
    }
  }

  private Optional<String> refuse(Key key, String reason, boolean ofEnvironment) {
    LOG.error("candidates can not be ranked again: {}", reason);
    refused =
        Optional.of(new Refused(key, reason, ofEnvironment, System.nanoTime() + AGAIN.toNanos()));
    return Optional.of(reason);
  }

  private Loaded load(Key key, String location, IndexSettings settings) throws ModelLoadException {
    Deque<AutoCloseable> opened = new ArrayDeque<>();
    boolean complete = false;
    try (FactorFiles files = FactorFiles.open(pretraining(settings))) {
      LayerSelection layers = new LayerSelection(files.stage().layerSelection());
      TappedModel answering =
          TappedModel.open(answering(key.answering(), location), layers, config.engine());
      opened.push(answering);
      TappedModel indexed = answering;
      if (!key.indexed().equals(key.answering())) {
        Path path = config.indexedModel().orElseGet(settings::whereModelWas);
        if (!digest(path).equals(key.indexed())) {
          throw new ModelLoadException(
              "the model at "
                  + path
                  + " is not the one whose gradients are indexed; set indexed-model");
        }
        indexed = TappedModel.open(path, layers, config.engine());
        opened.push(indexed);
      }
      EkfacFactors pretraining = files.inDouble(answering.matrices());
      opened.push(pretraining);
      ConfiguredFiles.check(pretraining, key.pretraining());
      Optional<EkfacFactors> fineTuning = Optional.empty();
      if (!key.fineTuning().isEmpty()) {
        EkfacFactors factors =
            EkfacFactors.read(fineTuning(key.fineTuning()), answering.matrices());
        opened.push(factors);
        ConfiguredFiles.check(factors, key.fineTuning());
        factors.checkModel(answering.name(), answering.digest());
        fineTuning = Optional.of(factors);
      }
      CorpusFile corpus = new CorpusFile(config.corpus().orElseGet(settings::whereCorpusWas));
      check(corpus, key.corpus());
      MultiStageQuery query = new MultiStageQuery(pretraining, fineTuning, answering.matrices());
      Loaded next = new Loaded(key, answering, indexed, corpus, query, opened);
      seconds.putIfAbsent(key, ResponseSeconds.of(answering, query));
      complete = true;
      return next;
    } finally {
      if (!complete) {
        close(opened);
      }
    }
  }

  /**
   * That a corpus is the one that was indexed. It is read as a whole for that, and again when it
   * was changed: documents that are ranked are compared with the index by length and beginning
   * only, and may differ in the middle.
   */
  private void check(CorpusFile corpus, String digest) throws ModelLoadException {
    String found;
    try {
      found = corpora.computeIfAbsent(corpus.path(), path -> new SeenCorpus(corpus)).digest();
    } catch (InfluenceException e) {
      if (e.isOfEnvironment()) {
        throw e;
      }
      throw new ModelLoadException(e.getMessage() + " Set corpus.", e);
    }
    if (!found.equals(digest)) {
      throw new ModelLoadException(
          "the corpus at "
              + corpus.path()
              + " is not the one that was indexed: its SHA-256 is another; set corpus");
    }
  }

  private Path pretraining(IndexSettings settings) throws ModelLoadException {
    return found(settings.factorsDigest(), () -> config.files().pretraining(settings));
  }

  private Path fineTuning(String digest) throws ModelLoadException {
    return found(
        digest,
        () ->
            config.files().factors(Optional.empty(), identity -> identity.digest().equals(digest)));
  }

  /** Queries do not wait for a disk that fails: without factors, they have estimates. */
  private static Path found(String digest, Supplier<Optional<Path>> factors)
      throws ModelLoadException {
    Optional<Path> found;
    try {
      found = factors.get();
    } catch (EnvironmentException e) {
      throw new ModelLoadException(String.valueOf(e.getMessage()), e);
    }
    return found.orElseThrow(
        () ->
            new ModelLoadException(
                "factors of digest " + digest + " are in none of the directories of 'factors'"));
  }

  /**
   * Where the model that answered is: the configured one, else the one where the query stage has
   * it, under models.roots.
   *
   * @throws EngineException why the configured one can not be read, where it is not under the roots
   */
  private Path answering(String digest, String location) throws ModelLoadException {
    Optional<EngineException> unread = Optional.empty();
    if (config.model().isPresent()) {
      try {
        if (digest(config.model().get()).equals(digest)) {
          return config.model().get();
        }
      } catch (EngineException e) {
        unread = Optional.of(e);
      }
    }
    try {
      return underRoots(digest, location);
    } catch (ModelLoadException | EngineException e) {
      if (unread.isPresent()) {
        unread.get().addSuppressed(e);
        throw unread.get();
      }
      throw e;
    }
  }

  private Path underRoots(String digest, String location) throws ModelLoadException {
    if (config.runtime().models().roots().isEmpty()) {
      throw new ModelLoadException(
          config
              .model()
              .map(path -> "the model at " + path + " did not answer")
              .orElse("the model that answered is not here; set model or models.roots"));
    }
    Path path = ModelLocation.resolve(location, config.runtime().models().roots());
    if (!digest(path).equals(digest)) {
      throw new ModelLoadException("the model at " + path + " is not the one that answered");
    }
    return path;
  }

  /** Of a model's files, which are read for it and not loaded. */
  private static String digest(Path path) {
    try (ModelFiles files = ModelFiles.open(path)) {
      return files.digest();
    }
  }

  /**
   * Ranked documents.
   *
   * @param influences in the candidates' order
   * @param tokens of prompt and response, and of the documents that were run
   * @param exact documents whose gradients were computed anew
   */
  record Ranked(List<DocumentInfluence> influences, long tokens, int exact) {}

  /**
   * Ranks candidates again; {@link #prepare} must have made ready for this very query.
   *
   * @param entries what the candidates are, in their order
   * @param toRank those of them whose gradients are computed anew, the most promising first
   * @param budget what is not begun in time keeps its estimate
   * @throws InfluenceException if what is ready is another query's, the candidates are of several
   *     indexes, the response's gradient says nothing, or the corpus is not what was indexed
   * @throws EngineException if the response or a document can not be run
   */
  Ranked rank(
      InfluenceQuery query,
      Conversation conversation,
      IndexSettings settings,
      List<IndexScan.Candidate> candidates,
      List<IndexedDocument> entries,
      List<IndexScan.Candidate> toRank,
      RankingBudget budget) {
    Key key = Key.of(query.getResponseModel(), query.getFineTuningFactors(), settings);
    Loaded now =
        loaded
            .filter(one -> one.key().equals(key))
            .orElseThrow(
                () ->
                    new InfluenceException(
                        "The models and factors that this query names are not the loaded ones."));
    for (IndexScan.Candidate candidate : candidates) {
      if (!candidate.shard().settings().isLike(settings)) {
        throw new InfluenceException("The query names shards of several indexes.");
      }
    }
    long began = System.nanoTime();
    ResponseGradient gradient =
        ResponseGradient.of(now.answering(), conversation, Measure.of(query.getMeasure()));
    long between = System.nanoTime();
    MultiStageQuery.Preconditioned preconditioned =
        now.query()
            .precondition(
                gradient,
                query.getAlpha().isEmpty() ? Damping.DEFAULT : Damping.parse(query.getAlpha()),
                Damping.parse(query.getLambda()),
                settings);
    long ended = System.nanoTime();
    int tokens = now.answering().texts().response(conversation).length();
    seconds(query, settings)
        .ifPresent(of -> of.add(tokens, (between - began) / 1e9, (ended - between) / 1e9));
    List<DocumentInfluence> influences =
        new CandidateRanking(now.indexed(), now.corpus(), settings.measure())
            .exact(preconditioned, candidates, entries, toRank, budget);
    return new Ranked(
        influences,
        tokens + budget.tokens(),
        (int) influences.stream().filter(DocumentInfluence::exact).count());
  }

  private static void close(Deque<AutoCloseable> opened) {
    while (!opened.isEmpty()) {
      try {
        opened.pop().close();
      } catch (Exception e) {
        throw new IllegalStateException("what candidates are ranked with did not close", e);
      }
    }
  }

  @Override
  public void close() {
    loaded.ifPresent(one -> close(one.opened()));
    loaded = Optional.empty();
  }
}
