package dev.whence.influence.stage;

import dev.whence.conversation.Conversation;
import dev.whence.engine.EngineException;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.ekfac.FactorFiles;
import dev.whence.influence.index.IndexManifest;
import dev.whence.influence.model.LayerSelection;
import dev.whence.influence.model.TappedModel;
import dev.whence.influence.query.MultiStageQuery;
import dev.whence.influence.query.ResponseGradient;
import dev.whence.runtime.config.ConfigException;
import dev.whence.runtime.config.FailurePolicy;
import dev.whence.runtime.config.ModelSettings;
import dev.whence.runtime.models.ModelLoadException;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.runtime.worker.Failure;
import dev.whence.schemas.avro.InfluenceStage;
import dev.whence.schemas.avro.ModelRelease;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What queries are made with: the model that answers in production, the factors of both stages, and
 * which index is asked. They change together, between batches, when a release of role INFLUENCE
 * becomes live; one that does not fit or can not be loaded leaves the old ones in place and is
 * counted. Several stages share it. Only one at a time takes a gradient, and others wait for that
 * alone: loading another model blocks nobody, and {@link #answersTo} never waits.
 */
final class QueryModel implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(QueryModel.class);

  /** For a turn, whatever a large {@code hang.factor} allows. */
  private static final Duration MOST_WAIT = Duration.ofMinutes(10);

  /** For a gradient that is being taken at the end. */
  private static final Duration LAST_GRADIENT = Duration.ofSeconds(5);

  private final InfluenceConfig config;
  private final Counter loaded;
  private final Counter failed;
  private final ReentrantLock loading = new ReentrantLock();

  /** Held by who takes a gradient, and by who takes the model away. */
  private final Lock using;

  /** Changes only while {@link #using} is held. */
  private volatile Optional<Active> active = Optional.empty();

  /** What answered until it made room for a model that could not be loaded. */
  private volatile Optional<ModelChoice> unloaded = Optional.empty();

  /** All that is in use together. */
  private record Active(
      ModelChoice choice,
      TappedModel model,
      EkfacFactors pretraining,
      Optional<EkfacFactors> fineTuning,
      IndexManifest index,
      MultiStageQuery query,
      ResponseSeconds seconds,
      Deque<AutoCloseable> opened) {}

  /**
   * A query.
   *
   * @param gradient of the response
   * @param preconditioned by both stages
   * @param index that is asked
   * @param indexDigest of it
   * @param pretraining the indexed stage
   * @param fineTuning the stage of the model that answered
   * @param location of the model that answered
   * @param promptAndResponse tokens that were run
   * @param seconds that it took, without the wait for others
   */
  record Query(
      ResponseGradient gradient,
      MultiStageQuery.Preconditioned preconditioned,
      IndexManifest index,
      String indexDigest,
      InfluenceStage pretraining,
      InfluenceStage fineTuning,
      Path location,
      int promptAndResponse,
      double seconds) {}

  QueryModel(InfluenceConfig config, MeterRegistry meters) {
    this(config, meters, new ReentrantLock(/* fair= */ true));
  }

  /**
   * @param using is held while a gradient is taken
   */
  QueryModel(InfluenceConfig config, MeterRegistry meters, Lock using) {
    this.config = config;
    this.using = using;
    this.loaded = counter(meters, "loaded");
    this.failed = counter(meters, "failed");
  }

  private static Counter counter(MeterRegistry meters, String result) {
    return Counter.builder("whence.model.loads")
        .description("models loaded, and releases that could not be")
        .tag("result", result)
        .register(meters);
  }

  /**
   * The first model: the live release, else the one before it, and so on, else the configured one.
   * Nothing happens if there is one already.
   *
   * @param releases that are not withdrawn, the live one first
   * @throws ConfigException if none of them can be used
   * @throws EnvironmentException if there is none
   */
  void openFirst(List<ModelRelease> releases) {
    loading.lock();
    try {
      if (active.isPresent()) {
        return;
      }
      if (releases.isEmpty() && config.model().isEmpty()) {
        throw new EnvironmentException(
            "no model release of role INFLUENCE is live and no model is configured: there is"
                + " nothing to take gradients of");
      }
      Optional<ModelLoadException> last = Optional.empty();
      for (ModelRelease release : releases) {
        try {
          replace(ModelChoice.of(release, config));
          return;
        } catch (ModelLoadException e) {
          failed.increment();
          LOG.error("a model release can not be used and is passed over: {}", e.getMessage());
          last = Optional.of(e);
        }
      }
      try {
        if (config.model().isEmpty()) {
          throw last.orElseThrow();
        }
        replace(ModelChoice.configured(config).orElseThrow());
      } catch (ModelLoadException e) {
        failed.increment();
        throw new ConfigException(List.of("no query can be made: " + e.getMessage()));
      }
    } finally {
      loading.unlock();
    }
  }

  /**
   * Another release is live, or none any more; see {@link
   * dev.whence.runtime.models.ReleaseTakeOver}.
   *
   * @throws ModelLoadException if it can not be used; what is in use stays
   * @throws EnvironmentException if it can not be loaded now; what is in use stays
   */
  void takeOver(Optional<ModelRelease> release) throws ModelLoadException {
    loading.lock();
    try {
      if (release.isEmpty() && config.model().isEmpty()) {
        LOG.warn(
            "the last model release was withdrawn and no model is configured: the model stays");
        return;
      }
      replace(
          release.isPresent()
              ? ModelChoice.of(release.get(), config)
              : ModelChoice.configured(config).orElseThrow());
    } finally {
      loading.unlock();
    }
  }

  /**
   * Brings back the model that made room for one that could not be loaded, if it is still away and
   * nobody is just loading. Takes as long as loading does.
   *
   * @throws EnvironmentException if it can not be loaded yet
   */
  void bringBack() {
    if (unloaded.isEmpty() || !loading.tryLock()) {
      return;
    }
    try {
      if (unloaded.isPresent()) {
        use(load(unloaded.get(), BeforeWeights.NOTHING));
      }
    } catch (ModelLoadException e) {
      throw new EnvironmentException("no model is loaded: " + e.getMessage(), e);
    } finally {
      loading.unlock();
    }
  }

  /** Counts a release that could not be taken over. */
  void countFailedLoad() {
    failed.increment();
  }

  private void replace(ModelChoice choice) throws ModelLoadException {
    boolean unloadFirst = config.runtime().models().reload() == ModelSettings.Reload.UNLOAD_FIRST;
    List<ModelChoice> before = new ArrayList<>();
    Active next;
    try {
      next =
          load(
              choice,
              index -> {
                if (unloadFirst && active.isPresent()) {
                  verify(choice, index); // what is in use makes room for nothing that does not fit
                  unload().ifPresent(before::add);
                }
              });
    } catch (ModelLoadException | EnvironmentException e) {
      before.forEach(this::loadAgain);
      throw e;
    }
    use(next);
    loaded.increment();
    LOG.info(
        "queries are made with model {}, digest {}, {}, of an index of {} documents in {} shards,"
            + " digest {}",
        next.model().name(),
        next.model().digest(),
        next.fineTuning().isPresent() ? "multi-stage" : "single-stage",
        next.index().documents(),
        next.index().shards().size(),
        next.index().digest());
  }

  /** What is done once index and factors are known, before memory is taken. */
  @FunctionalInterface
  private interface BeforeWeights {
    BeforeWeights NOTHING = index -> {};

    void run(ConfiguredFiles.LocatedIndex index) throws ModelLoadException;
  }

  private void loadAgain(ModelChoice before) {
    try {
      LOG.warn("loading the old model again, for the new one can not be used");
      use(load(before, BeforeWeights.NOTHING));
    } catch (ModelLoadException | EnvironmentException e) {
      failed.increment();
      if (e instanceof EnvironmentException environment && environment.isOfProcess()) {
        throw environment;
      }
      LOG.error("the old model can not be loaded again yet: {}", e.getMessage());
      unloaded = Optional.of(before);
    }
  }

  private void use(Active next) {
    using.lock();
    try {
      active.ifPresent(old -> close(old.opened()));
      active = Optional.of(next);
      unloaded = Optional.empty();
    } finally {
      using.unlock();
    }
  }

  private Optional<ModelChoice> unload() {
    using.lock();
    try {
      Optional<ModelChoice> before = active.map(Active::choice);
      active.ifPresent(old -> close(old.opened()));
      active = Optional.empty();
      return before;
    } finally {
      using.unlock();
    }
  }

  private static void close(Deque<AutoCloseable> opened) {
    while (!opened.isEmpty()) {
      try {
        opened.pop().close();
      } catch (Exception e) {
        throw new IllegalStateException("what queries are made with did not close", e);
      }
    }
  }

  /** Opens all that belongs together, and refuses what does not. */
  private Active load(ModelChoice choice, BeforeWeights beforeWeights) throws ModelLoadException {
    Deque<AutoCloseable> opened = new ArrayDeque<>();
    boolean complete = false;
    try {
      ConfiguredFiles.LocatedIndex index = choice.index(config);
      Path factors = pretraining(index);
      if (index.manifest().shards().size() > AskedShards.MOST) {
        throw new ModelLoadException(
            "the index in "
                + index.directory()
                + " has "
                + index.manifest().shards().size()
                + " shards, more than the "
                + AskedShards.MOST
                + " that can be asked on topics");
      }
      LayerSelection layers = new LayerSelection(EkfacFactors.stage(factors).layerSelection());
      beforeWeights.run(index);
      TappedModel model;
      EkfacFactors pretraining;
      try (FactorFiles files = FactorFiles.open(factors)) { // takes memory from now on
        model = TappedModel.open(choice.path(), layers, config.engine());
        opened.push(model);
        verify(choice, model.digest());
        pretraining = files.inDouble(model.matrices());
        opened.push(pretraining);
      }
      ConfiguredFiles.check(pretraining, index.manifest().settings().factorsDigest());
      Optional<EkfacFactors> fineTuning =
          choice
              .fineTuning(config, model.digest(), index.manifest(), factors)
              .map(path -> EkfacFactors.read(path, model.matrices()));
      fineTuning.ifPresent(opened::push);
      fineTuning.ifPresent(later -> later.checkModel(model.name(), model.digest()));
      MultiStageQuery query = new MultiStageQuery(pretraining, fineTuning, model.matrices());
      checkLayers(model, pretraining);
      complete = true;
      return new Active(
          choice,
          model,
          pretraining,
          fineTuning,
          index.manifest(),
          query,
          ResponseSeconds.of(model, query),
          opened);
    } catch (EngineException e) {
      if (e.kind() == EngineException.Kind.ENVIRONMENT) {
        String why = String.valueOf(e.getMessage());
        throw e.isDeviceLost()
            ? EnvironmentException.ofProcess(why, e)
            : new EnvironmentException(why, e);
      }
      throw new ModelLoadException(String.valueOf(e.getMessage()), e);
    } catch (InfluenceException e) {
      if (e.isOfEnvironment()) {
        throw new EnvironmentException(String.valueOf(e.getMessage()), e);
      }
      throw new ModelLoadException(String.valueOf(e.getMessage()), e);
    } catch (IllegalArgumentException e) {
      throw new ModelLoadException(String.valueOf(e.getMessage()), e);
    } catch (ModelLoadException | EnvironmentException e) {
      throw e;
    } catch (RuntimeException e) {
      throw new ModelLoadException("loading it threw " + Failure.describe(e), e);
    } finally {
      if (!complete) {
        close(opened);
      }
    }
  }

  /** Reads the files for their digest, without loading them, and looks for factors. */
  private void verify(ModelChoice choice, ConfiguredFiles.LocatedIndex index)
      throws ModelLoadException {
    try (ModelFiles files = ModelFiles.open(choice.path())) {
      verify(choice, files.digest());
      var unused = choice.fineTuning(config, files.digest(), index.manifest(), pretraining(index));
    }
  }

  /** The factors that an index was built with. */
  private Path pretraining(ConfiguredFiles.LocatedIndex index) throws ModelLoadException {
    return config
        .files()
        .pretraining(index.manifest().settings())
        .orElseThrow(
            () ->
                new ModelLoadException(
                    "the factors that the index in "
                        + index.directory()
                        + " was built with, digest "
                        + index.manifest().settings().factorsDigest()
                        + ", are in none of the directories of 'factors'"));
  }

  private static void verify(ModelChoice choice, String digest) throws ModelLoadException {
    if (choice.digest().isPresent() && !choice.digest().get().equalsIgnoreCase(digest)) {
      throw new ModelLoadException(
          "the model at "
              + choice.path()
              + " has digest "
              + digest
              + ", but its release says "
              + choice.digest().get());
    }
  }

  private static void checkLayers(TappedModel model, EkfacFactors pretraining)
      throws ModelLoadException {
    List<String> layers =
        model.layers().stream()
            .map(layer -> layer.name() + " " + layer.outputs() + "x" + layer.inputs())
            .toList();
    if (!layers.equals(pretraining.shapes())) {
      throw new ModelLoadException(
          "the layers of model "
              + model.name()
              + " are not those of the factors of "
              + pretraining.stage().modelName()
              + ": it is no fine-tune of it");
    }
  }

  /**
   * Whether a name is one that production has for the model in use; waits for nobody.
   *
   * @throws EnvironmentException if no model is loaded
   */
  boolean answersTo(String productionModel) {
    return answersTo(active(), productionModel);
  }

  private static boolean answersTo(Active now, String productionModel) {
    return !productionModel.isEmpty()
        && (now.choice().aliases().contains(productionModel)
            || now.model().name().equals(productionModel));
  }

  /** What a query is expected to take, without the wait for others; waits for nobody. */
  Duration expected(Conversation conversation) {
    double seconds =
        active.map(now -> now.seconds().of(ResponseSeconds.tokens(conversation))).orElse(0.0);
    return Duration.ofMillis(1).plusNanos((long) (seconds * 1e9));
  }

  private Active active() {
    return active.orElseThrow(
        () ->
            new EnvironmentException(
                unloaded.isPresent()
                    ? "no model is loaded: the old one could not be loaded again yet"
                    : "no model is loaded; another one is just taking over"));
  }

  /**
   * The query of a response: one forward and backward, and both inverses. While another stage takes
   * its gradient this one waits, but not for so long that its own work would be taken for hanging:
   * half of what the watchdog allows it, but ten minutes at most, unless half of {@code
   * hang.at-least} is more.
   *
   * @param predicted what this query takes, of which the watchdog allows a multiple
   * @return empty if the model in use is not the one that gave the response, whatever {@link
   *     #answersTo} said before: another may have taken over since
   * @throws InfluenceException if its gradient is zero or not finite
   * @throws EngineException if it can not be rendered, or is longer than the model reads
   * @throws EnvironmentException if no model is loaded, or another stage has it for too long
   */
  Optional<Query> ask(Conversation conversation, Duration predicted) {
    awaitTurn(predicted);
    try {
      Active now = active();
      return answersTo(now, conversation.model())
          ? Optional.of(ask(now, conversation))
          : Optional.empty();
    } finally {
      using.unlock();
    }
  }

  private void awaitTurn(Duration predicted) {
    FailurePolicy failures = config.runtime().failures();
    Duration least = failures.hangAtLeast().dividedBy(2);
    Duration half = failures.allowed(predicted).dividedBy(2);
    Duration capped = half.compareTo(MOST_WAIT) > 0 ? MOST_WAIT : half;
    Duration most = capped.compareTo(least) > 0 ? capped : least;
    try {
      if (!using.tryLock(most.toNanos(), TimeUnit.NANOSECONDS)) {
        throw new EnvironmentException(
            "another stage has been taking a gradient for more than " + most.toMillis() + " ms");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new EnvironmentException("interrupted", e);
    }
  }

  private Query ask(Active now, Conversation conversation) {
    long began = System.nanoTime();
    ResponseGradient gradient =
        ResponseGradient.of(now.model(), conversation, config.query().measure());
    long between = System.nanoTime();
    MultiStageQuery.Preconditioned preconditioned =
        now.query()
            .precondition(
                gradient, config.query().alpha(), config.query().lambda(), now.index().settings());
    long ended = System.nanoTime();
    int tokens = now.model().texts().response(conversation).length();
    now.seconds().add(tokens, (between - began) / 1e9, (ended - between) / 1e9);
    EkfacFactors.Stage first = now.pretraining().stage();
    return new Query(
        gradient,
        preconditioned,
        now.index(),
        now.index().digest(),
        stage(first.modelName(), first.modelDigest(), now.pretraining().digest(), first.tokens()),
        stage(
            now.model().name(),
            now.model().digest(),
            now.fineTuning().map(EkfacFactors::digest).orElse(""),
            now.fineTuning().map(factors -> factors.stage().tokens()).orElse(0.0)),
        now.choice().path(),
        tokens,
        (ended - began) / 1e9);
  }

  private static InfluenceStage stage(
      String model, String modelDigest, String factorsDigest, double tokens) {
    return InfluenceStage.newBuilder()
        .setModel(model)
        .setModelDigest(modelDigest)
        .setFactorsDigest(factorsDigest)
        .setTokens(tokens)
        .build();
  }

  /** Leaves the model to the end of the process where a gradient does not end. */
  @Override
  public void close() {
    try {
      if (!using.tryLock() // which no interrupt hinders
          && !using.tryLock(LAST_GRADIENT.toMillis(), TimeUnit.MILLISECONDS)) {
        LOG.warn("a gradient is still being taken: its model is left as it is");
        return;
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return;
    }
    try {
      var unused = unload();
    } finally {
      using.unlock();
    }
  }
}
