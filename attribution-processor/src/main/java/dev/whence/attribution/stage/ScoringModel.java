package dev.whence.attribution.stage;

import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.Attributor;
import dev.whence.engine.EngineException;
import dev.whence.engine.Scorer;
import dev.whence.engine.ScorerDescription;
import dev.whence.engine.TrunkReuse;
import dev.whence.runtime.config.ConfigException;
import dev.whence.runtime.config.ModelSettings;
import dev.whence.runtime.models.ModelLoadException;
import dev.whence.runtime.models.ModelLocation;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.runtime.worker.Failure;
import dev.whence.schemas.avro.ModelRelease;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The model that scores now. It changes between batches, on the model thread; a release that can
 * not be loaded leaves the old one in place and is counted.
 */
final class ScoringModel implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(ScoringModel.class);

  private final ModelLoader loader;
  private final ModelSettings settings;
  private final AttributionOptions options;
  private final Optional<ModelLoader.Choice> configured;
  private final Counter loaded;
  private final Counter failed;
  private volatile Optional<Active> active = Optional.empty();

  /** What scored until it made room for a model that could not be loaded. */
  private Optional<ModelLoader.Choice> unloadedChoice = Optional.empty();

  /** A model in use. */
  private record Active(
      ModelLoader.Choice choice, ModelLoader.Loaded model, Attributor attributor) {}

  ScoringModel(
      ModelLoader loader,
      ModelSettings settings,
      AttributionOptions options,
      Optional<Path> configured,
      List<String> configuredAliases,
      Optional<String> chatTemplate,
      MeterRegistry meters) {
    this.loader = loader;
    this.settings = settings;
    this.options = options;
    this.configured =
        configured.map(
            path ->
                new ModelLoader.Choice(
                    path, Optional.empty(), Optional.empty(), configuredAliases, chatTemplate));
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
   * A release that can not be loaded is counted and passed over.
   *
   * @param releases that are not withdrawn, the live one first
   * @throws ModelLoadException if none of them can be loaded
   */
  void open(List<ModelRelease> releases) throws ModelLoadException {
    if (releases.isEmpty() && configured.isEmpty()) {
      throw new EnvironmentException(
          "no model release is live and no model is configured: nothing can score");
    }
    Optional<ModelLoadException> last = Optional.empty();
    for (ModelRelease release : releases) {
      try {
        replace(choice(release), false);
        return;
      } catch (ModelLoadException e) {
        failed.increment();
        LOG.error("a model release can not be loaded and is passed over: {}", e.getMessage());
        last = Optional.of(e);
      }
    }
    if (configured.isEmpty()) {
      throw last.orElseThrow();
    }
    try {
      replace(configured.get(), false);
    } catch (ModelLoadException e) {
      failed.increment();
      throw e;
    }
  }

  /**
   * The same for a process that can do nothing without a model.
   *
   * @throws ConfigException if none can be loaded
   */
  void openFirst(List<ModelRelease> releases) {
    try {
      open(releases);
    } catch (ModelLoadException e) {
      throw new ConfigException(List.of("the model can not be loaded: " + e.getMessage()));
    }
  }

  /**
   * Another release is live, or none any more; see {@link
   * dev.whence.runtime.models.ReleaseTakeOver}.
   *
   * @throws ModelLoadException if it can not be loaded; the old model stays
   * @throws EnvironmentException if it can not be loaded now; the old model stays
   */
  void takeOver(Optional<ModelRelease> release) throws ModelLoadException {
    if (release.isEmpty() && configured.isEmpty()) {
      LOG.warn("the last model release was withdrawn and no model is configured: the model stays");
      return;
    }
    ModelLoader.Choice choice =
        release.isPresent() ? choice(release.get()) : configured.orElseThrow();
    if (release.isPresent() && active.map(Active::choice).filter(choice::equals).isPresent()) {
      LOG.info("the model release was published once more; its model is in use already");
      return; // a digest vouches for it
    }
    replace(choice, settings.reload() == ModelSettings.Reload.UNLOAD_FIRST);
  }

  /** Counts a release that could not be taken over. */
  void countFailedLoad() {
    failed.increment();
  }

  private ModelLoader.Choice choice(ModelRelease release) throws ModelLoadException {
    if (release.getDigest().isEmpty()) {
      throw new ModelLoadException("a model release names no digest, so it can not be verified");
    }
    return new ModelLoader.Choice(
        ModelLocation.resolve(release.getLocation(), settings.roots()),
        Optional.of(release.getDigest()),
        Optional.of(release.getDtype()).filter(dtype -> !dtype.isEmpty()),
        release.getAliases(),
        Optional.empty()); // its digest vouches for the template that it brings
  }

  private void replace(ModelLoader.Choice choice, boolean unloadFirst) throws ModelLoadException {
    Optional<Active> old = active;
    boolean[] unloaded = {false};
    try {
      load(
          choice,
          () -> {
            if (unloadFirst) {
              unload();
              unloaded[0] = true;
            }
          });
    } catch (ModelLoadException | EnvironmentException e) {
      if (unloaded[0] && old.isPresent()) {
        LOG.warn("loading the old model again, for the new one can not be loaded");
        unloadedChoice = Optional.of(old.get().choice());
        bringBack();
      }
      throw e;
    }
    unloadedChoice = Optional.empty();
    if (!unloaded[0]) {
      old.ifPresent(one -> one.model().scorer().close());
    }
    loaded.increment();
    ScorerDescription now = description().orElseThrow();
    LOG.info(
        "model {} scores now: digest {}, {} on {}",
        now.model(),
        now.digest(),
        now.dtype(),
        now.device());
  }

  /** Whatever the loader throws says that this model can not be loaded, and no more. */
  private void load(ModelLoader.Choice choice, Runnable beforeWeights) throws ModelLoadException {
    try {
      activate(choice, loader.load(choice, beforeWeights));
    } catch (EnvironmentException e) {
      throw e;
    } catch (RuntimeException | LinkageError e) {
      throw new ModelLoadException("loading it threw " + Failure.describe(e), e);
    }
  }

  /**
   * Brings back the model that was unloaded for one that could not be loaded, if it is still away;
   * later, if need be. Takes as long as loading does.
   */
  void bringBack() {
    if (active.isPresent() || unloadedChoice.isEmpty()) {
      return;
    }
    try {
      load(unloadedChoice.get(), () -> {});
      unloadedChoice = Optional.empty();
    } catch (ModelLoadException | EnvironmentException e) {
      failed.increment();
      if (e instanceof EnvironmentException environment && environment.isOfProcess()) {
        throw environment;
      }
      LOG.error("the old model can not be loaded again yet: {}", e.getMessage());
    }
  }

  private void activate(ModelLoader.Choice choice, ModelLoader.Loaded model) {
    active = Optional.of(new Active(choice, model, new Attributor(model.scorer(), options)));
  }

  private void unload() {
    active.ifPresent(one -> one.model().scorer().close());
    active = Optional.empty();
  }

  /**
   * What scores now.
   *
   * @throws EnvironmentException if no model is loaded
   */
  private Attributor attributor() {
    return active
        .map(Active::attributor)
        .orElseThrow(() -> new EnvironmentException("no model is loaded"));
  }

  /**
   * Calls the attributor. What the scorer throws is not the record's fault; what is, it says in its
   * result.
   *
   * @throws EnvironmentException if no model is loaded or the scorer throws
   */
  <T> T attributing(Function<Attributor, T> call) {
    try {
      return call.apply(attributor());
    } catch (EngineException e) {
      String why = "the scorer failed: " + e.getMessage();
      throw e.isDeviceLost()
          ? EnvironmentException.ofProcess(why, e)
          : EnvironmentException.ofScorer(why, e);
    }
  }

  /**
   * Names what gives scores now, with all that they depend on: model, element type, method, and a
   * hash of the options. Of a model on a server it has the name, and what is rendered and tokenised
   * here; other weights under the same name can not be seen. Any thread.
   */
  String key(String method) {
    return active
        .map(one -> one.model().scorer())
        .map(
            scorer ->
                String.join(
                    " ",
                    name(scorer),
                    scorer.description().dtype(),
                    method,
                    Integer.toHexString(options.toString().hashCode())))
        .orElse("");
  }

  private static String name(Scorer scorer) {
    ScorerDescription one = scorer.description();
    return one.digest().isEmpty()
        ? (one.model() + " " + beginning(scorer.textDigest())).strip()
        : beginning(one.digest());
  }

  private static String beginning(String digest) {
    return digest.substring(0, Math.min(digest.length(), 16));
  }

  Optional<ScorerDescription> description() {
    return active.map(one -> one.model().scorer().description());
  }

  /** How much of the trunks of the model in use was taken over from earlier ones. Any thread. */
  TrunkReuse trunkReuse() {
    return active.map(one -> one.model().scorer().trunkReuse()).orElse(TrunkReuse.NONE);
  }

  /** Memory held outside the heap, in bytes. Any thread. */
  long nativeBytes() {
    return active.map(one -> one.model().nativeBytes().getAsLong()).orElse(0L);
  }

  @Override
  public void close() {
    unload();
  }
}
