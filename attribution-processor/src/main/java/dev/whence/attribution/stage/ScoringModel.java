package dev.whence.attribution.stage;

import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.Attributor;
import dev.whence.engine.ScorerDescription;
import dev.whence.runtime.config.ModelSettings;
import dev.whence.runtime.models.ModelLoadException;
import dev.whence.runtime.models.ModelLocation;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.schemas.avro.ModelRelease;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
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

  /** A model in use. */
  private record Active(
      ModelLoader.Choice choice, ModelLoader.Loaded model, Attributor attributor) {}

  ScoringModel(
      ModelLoader loader,
      ModelSettings settings,
      AttributionOptions options,
      Optional<Path> configured,
      List<String> configuredAliases,
      MeterRegistry meters) {
    this.loader = loader;
    this.settings = settings;
    this.options = options;
    this.configured =
        configured.map(
            path ->
                new ModelLoader.Choice(
                    path, Optional.empty(), Optional.empty(), configuredAliases));
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
   * The first model: the live release, else the configured one.
   *
   * @throws ModelLoadException if it can not be loaded
   */
  void open(Optional<ModelRelease> release) throws ModelLoadException {
    if (release.isEmpty() && configured.isEmpty()) {
      throw new EnvironmentException(
          "no model release is live and no model is configured: nothing can score");
    }
    ModelLoader.Choice choice =
        release.isPresent() ? choice(release.get()) : configured.orElseThrow();
    try {
      replace(choice, false);
    } catch (ModelLoadException e) {
      failed.increment();
      throw e;
    }
  }

  /** Another release is live, or none any more. Never throws: the old model stays. */
  void takeOver(Optional<ModelRelease> release) {
    try {
      if (release.isEmpty() && configured.isEmpty()) {
        LOG.warn(
            "the last model release was withdrawn and no model is configured: the model stays");
        return;
      }
      ModelLoader.Choice choice =
          release.isPresent() ? choice(release.get()) : configured.orElseThrow();
      replace(choice, settings.reload() == ModelSettings.Reload.UNLOAD_FIRST);
    } catch (ModelLoadException | EnvironmentException e) {
      failed.increment();
      LOG.error("a model release could not be taken over: {}", e.getMessage());
    }
  }

  private ModelLoader.Choice choice(ModelRelease release) throws ModelLoadException {
    if (release.getDigest().isEmpty()) {
      throw new ModelLoadException("a model release names no digest, so it can not be verified");
    }
    return new ModelLoader.Choice(
        ModelLocation.resolve(release.getLocation(), settings.roots()),
        Optional.of(release.getDigest()),
        Optional.of(release.getDtype()).filter(dtype -> !dtype.isEmpty()),
        release.getAliases());
  }

  private void replace(ModelLoader.Choice choice, boolean unloadFirst) throws ModelLoadException {
    Optional<Active> old = active;
    boolean[] unloaded = {false};
    try {
      ModelLoader.Loaded model =
          loader.load(
              choice,
              () -> {
                if (unloadFirst) {
                  unload();
                  unloaded[0] = true;
                }
              });
      activate(choice, model);
    } catch (ModelLoadException | EnvironmentException e) {
      if (unloaded[0] && old.isPresent()) {
        LOG.warn("loading the old model again, for the new one can not be loaded");
        activate(old.get().choice(), loader.load(old.get().choice(), () -> {}));
      }
      throw e;
    }
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
  Attributor attributor() {
    return active
        .map(Active::attributor)
        .orElseThrow(() -> new EnvironmentException("no model is loaded"));
  }

  Optional<ScorerDescription> description() {
    return active.map(one -> one.model().scorer().description());
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
