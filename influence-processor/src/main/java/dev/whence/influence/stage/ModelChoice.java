package dev.whence.influence.stage;

import dev.whence.engine.weights.ModelFiles;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.index.IndexManifest;
import dev.whence.runtime.models.ModelLoadException;
import dev.whence.runtime.models.ModelLocation;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.schemas.avro.ModelAncestor;
import dev.whence.schemas.avro.ModelKind;
import dev.whence.schemas.avro.ModelRelease;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A model that answers in production, and what belongs to it: which index may be asked about it,
 * and which factors are of its fine-tuning.
 *
 * @param path of it
 * @param digest that it must have; empty: any
 * @param bases digests of models that its fine-tuning may have started from, itself among them;
 *     empty: nobody says, so whoever configured model and index does
 * @param aliases names that production has for it
 */
record ModelChoice(
    Path path, Optional<String> digest, Optional<Set<String>> bases, List<String> aliases) {
  private static final Logger LOG = LoggerFactory.getLogger(ModelChoice.class);

  /** How a release's lineage calls the model that fine-tuning started from. */
  private static final String BASE = "base";

  /** How that of a transferred model calls its own base; {@link #BASE} is the old one there. */
  private static final String TARGET = "target";

  /** Digests are compared in lower case, in which ours are written. */
  ModelChoice {
    digest = digest.map(ModelChoice::lower);
    bases = bases.map(ModelChoice::lower);
    aliases = List.copyOf(aliases);
  }

  private static String lower(String digest) {
    return digest.toLowerCase(Locale.ROOT);
  }

  private static Set<String> lower(Set<String> digests) {
    return digests.stream().map(ModelChoice::lower).collect(Collectors.toUnmodifiableSet());
  }

  /** Of the model that an index is of. */
  private static String ofModel(IndexManifest index) {
    return lower(index.settings().modelDigest());
  }

  /** The model of the configuration, if it names one. */
  static Optional<ModelChoice> configured(InfluenceConfig config) {
    return config
        .model()
        .map(path -> new ModelChoice(path, Optional.empty(), Optional.empty(), config.aliases()));
  }

  /**
   * That of a release.
   *
   * @throws ModelLoadException if it can not be verified, or lies outside of models.roots
   */
  static ModelChoice of(ModelRelease release, InfluenceConfig config) throws ModelLoadException {
    if (release.getDigest().isEmpty()) {
      throw new ModelLoadException("a model release names no digest, so it can not be verified");
    }
    String base = release.getKind() == ModelKind.TRANSFERRED ? TARGET : BASE;
    Set<String> bases = new HashSet<>(Set.of(release.getDigest()));
    for (ModelAncestor ancestor : release.getLineage()) {
      if (ancestor.getRelation().equals(base) && !ancestor.getDigest().isEmpty()) {
        bases.add(ancestor.getDigest());
      }
    }
    return new ModelChoice(
        ModelLocation.resolve(release.getLocation(), config.runtime().models().roots()),
        Optional.of(release.getDigest()),
        Optional.of(bases),
        release.getAliases());
  }

  /** That of a release, or the configured one where none is live. */
  static Optional<ModelChoice> expected(Optional<ModelRelease> release, InfluenceConfig config)
      throws ModelLoadException {
    return release.isPresent() ? Optional.of(of(release.get(), config)) : configured(config);
  }

  /**
   * The index that is asked, of a model that this one may come from: the one that the configuration
   * names; else the newest, where a query in two stages asks one of a base before one of this very
   * model, which would make it a query in one.
   *
   * @throws ModelLoadException if there is none
   * @throws EnvironmentException if others may be there that can not be read just now: which one is
   *     asked must not hang on that
   */
  ConfiguredFiles.LocatedIndex index(InfluenceConfig config) throws ModelLoadException {
    Optional<String> name = config.query().index();
    ConfiguredFiles.Indexes all = config.files().allIndexes();
    List<ConfiguredFiles.LocatedIndex> fitting =
        all.newestFirst().stream()
            .filter(one -> bases.map(some -> some.contains(ofModel(one.manifest()))).orElse(true))
            .filter(one -> name.map(one::isNamed).orElse(true))
            .toList();
    if (!all.unread().isEmpty() && (name.isEmpty() || fitting.isEmpty())) {
      throw new EnvironmentException(
          "which index is asked can not be said while others can not be read: "
              + String.join(" ", all.unread()));
    }
    if (fitting.isEmpty()) {
      throw new ModelLoadException(
          name.map(named -> "query.index is " + named + ", but ").orElse("")
              + "no index in the directories of 'indexes' is"
              + (name.isPresent() ? " it and" : "")
              + " of "
              + bases
                  .map(
                      some ->
                          "the model at "
                              + path
                              + " or of a base that its release names in its lineage, of"
                              + " digests "
                              + some)
                  .orElse("any model"));
    }
    ConfiguredFiles.LocatedIndex newest = fitting.get(0);
    if (!config.query().multiStage()
        || fitting.stream().map(one -> ofModel(one.manifest())).distinct().count() == 1) {
      return newest;
    }
    String own = digest.orElseGet(() -> lower(digestOfFiles()));
    Optional<ConfiguredFiles.LocatedIndex> ofBase =
        fitting.stream().filter(one -> !ofModel(one.manifest()).equals(own)).findFirst();
    if (ofBase.isPresent() && !ofBase.get().equals(newest)) {
      LOG.warn(
          "the index in {} is asked in two stages; that in {} is newer, but of the model at {}"
              + " itself: query.index or query.method: single-stage would choose it",
          ofBase.get().directory(),
          newest.directory(),
          path);
    }
    return ofBase.orElse(newest);
  }

  private String digestOfFiles() {
    try (ModelFiles files = ModelFiles.open(path)) {
      return files.digest();
    }
  }

  /**
   * Factors of its fine-tuning, of the indexed stage's layers if there are such.
   *
   * @param modelDigest its own
   * @param pretraining factors of the indexed stage
   * @return empty if a query is single-stage: it is to be, or what is asked about is the stage of
   *     this very model, and nothing came after it
   * @throws ModelLoadException if there are none
   */
  Optional<Path> fineTuning(
      InfluenceConfig config, String modelDigest, IndexManifest index, Path pretraining)
      throws ModelLoadException {
    if (!config.query().multiStage() || lower(modelDigest).equals(ofModel(index))) {
      return Optional.empty();
    }
    String layers = EkfacFactors.stage(pretraining).layerSelection();
    Predicate<EkfacFactors.Identity> ofModel =
        identity -> identity.stage().modelDigest().equals(modelDigest);
    Optional<Path> found =
        config
            .files()
            .factors(
                Optional.empty(),
                ofModel.and(identity -> identity.stage().layerSelection().equals(layers)));
    if (found.isEmpty()) { // the same layers may be named in another way
      found = config.files().factors(Optional.empty(), ofModel);
    }
    if (found.isEmpty()) {
      throw new ModelLoadException(
          "no factors in the directories of 'factors' are of the model at "
              + path
              + ", digest "
              + modelDigest
              + "; compute them with 'whence influence factors', or set query.method:"
              + " single-stage");
    }
    return found;
  }
}
