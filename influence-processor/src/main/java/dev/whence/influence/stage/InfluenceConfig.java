package dev.whence.influence.stage;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineOptions;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.lexical.Preselection;
import dev.whence.influence.model.Measure;
import dev.whence.runtime.config.RuntimeConfig;
import dev.whence.runtime.config.SamplingRate;
import dev.whence.runtime.config.Settings;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What the influence processor is configured with.
 *
 * @param runtime the part of every processor
 * @param roles which parts of the work this process does
 * @param model the one that answers in production, while no release is live; it may not be there
 *     (yet) where a release can take its place
 * @param aliases names that production has for it
 * @param engine how models run
 * @param files where indexes and factors are looked for
 * @param indexedModel the model whose gradients are indexed; empty: where the index says
 * @param corpus that was indexed; empty: where the index says
 * @param sampling which responses are asked about without a request
 * @param query what is asked
 * @param claimCheck directory for sketches that are too large for a record
 * @param inlineBytes largest sketch that goes into a record
 * @param largestRecordBytes a larger record is given up unread
 * @param heldBytes that signs of open shards may take in memory
 * @param openBytes that open queries of a partition of partials may take in memory
 */
public record InfluenceConfig(
    RuntimeConfig runtime,
    Set<StageRole> roles,
    Optional<Path> model,
    List<String> aliases,
    EngineOptions engine,
    ConfiguredFiles files,
    Optional<Path> indexedModel,
    Optional<Path> corpus,
    SamplingRate sampling,
    Asked query,
    Optional<Path> claimCheck,
    int inlineBytes,
    int largestRecordBytes,
    long heldBytes,
    long openBytes) {

  /** Consumer groups begin like this where none is configured. */
  public static final String DEFAULT_GROUP = "whence-influence";

  /** Largest {@code query.top}. */
  static final int MOST_TOP = 1000;

  /** Largest {@code query.rerank}. */
  static final int MOST_RERANK = 10_000;

  /** Largest {@code query.deadline}. */
  static final Duration LONGEST_DEADLINE = Duration.ofHours(1);

  private static final int MIB = 1 << 20;

  private static final Logger LOG = LoggerFactory.getLogger(InfluenceConfig.class);

  public InfluenceConfig {
    roles = Set.copyOf(roles);
    aliases = List.copyOf(aliases);
  }

  /**
   * What is asked about a response.
   *
   * @param index digest or directory of the index that is asked; empty: the newest that fits
   * @param multiStage whether fine-tuning's own curvature counts
   * @param measure of the response
   * @param alpha damping of fine-tuning
   * @param lambda damping of pretraining
   * @param top documents of each sign that are wanted
   * @param rerank candidates of each sign whose gradients a process computes anew
   * @param preselect candidates by words, beside those of the scan
   * @param deadline how long shards are waited for
   * @param includeExcerpts whether results carry the beginnings of documents
   */
  public record Asked(
      Optional<String> index,
      boolean multiStage,
      Measure measure,
      Damping alpha,
      Damping lambda,
      int top,
      int rerank,
      Preselection preselect,
      Duration deadline,
      boolean includeExcerpts) {}

  private enum Method {
    MULTI_STAGE,
    SINGLE_STAGE
  }

  /**
   * Reads the whole configuration, in which models are paths.
   *
   * @throws dev.whence.runtime.config.ConfigException with everything that is wrong
   */
  public static InfluenceConfig read(Settings settings) {
    return read(settings, Path::of);
  }

  /**
   * Reads the whole configuration.
   *
   * @param models finds a model by its path or name, see {@link
   *     dev.whence.engine.weights.NamedModels}
   * @throws dev.whence.runtime.config.ConfigException with everything that is wrong
   */
  public static InfluenceConfig read(Settings settings, Function<String, Path> models) {
    RuntimeConfig runtime = RuntimeConfig.read(settings, DEFAULT_GROUP);
    Set<StageRole> roles = roles(settings);
    boolean needed = roles.contains(StageRole.QUERY) && runtime.models().roots().isEmpty();
    boolean used = !roles.equals(Set.of(StageRole.MERGE));
    Optional<Path> model = model(settings, "model", models, used, needed);
    ConfiguredFiles files =
        new ConfiguredFiles(paths(settings, "indexes"), paths(settings, "factors"));
    if (needed && settings.text("model").isEmpty()) {
      settings.problem(
          "neither model nor models.roots is set: there is no model to take gradients of, and no"
              + " release could be taken over");
    }
    if ((roles.contains(StageRole.QUERY) || roles.contains(StageRole.SHARDS))
        && files.indexes().isEmpty()) {
      settings.problem(
          "indexes is not set: it gives the directories of the indexes that are asked");
    }
    InfluenceConfig config =
        new InfluenceConfig(
            runtime,
            roles,
            model,
            settings.list("models.aliases"),
            engine(settings),
            files,
            model(settings, "indexed-model", models, used, /* needed= */ false),
            settings.text("corpus").map(Path::of),
            new SamplingRate(settings.number("sampling.rate", 0.01, 0, 1)),
            asked(settings),
            settings.text("claim-check.dir").map(Path::of),
            (int) settings.bytes("claim-check.above", 8L * MIB, 0, 12L * MIB),
            (int) settings.bytes("limits.record-bytes", 16L * MIB, 1024, 256L * MIB),
            heldBytes(settings, Runtime.getRuntime().maxMemory()),
            settings.bytes("limits.open-bytes", 64L * MIB, 16L * MIB, 1024L * MIB));
    settings.finish();
    return config;
  }

  private static long heldBytes(Settings settings, long heap) {
    long most = heap / 2; // a collector of generations keeps what stays in a part of it
    long bytes = settings.bytes("indexes.memory", heap / 4, 0, 1L << 40);
    if (bytes > most) {
      settings.problem(
          "indexes.memory is "
              + bytes
              + " bytes, but of a heap of "
              + heap
              + " bytes at most half may be: start with a larger one (-Xmx in"
              + " WHENCE_JAVA_OPTS), or set less");
      return most;
    }
    return bytes;
  }

  /**
   * A model by path or name.
   *
   * @param used whether any of the roles uses it; nobody looks for it if not
   * @param needed whether there is nothing to do without it; else it may come, a release may take
   *     its place, or answers are estimates, and whoever uses it says what is missing
   * @throws EngineException of kind ENVIRONMENT if it is needed and can not be looked for now
   */
  private static Optional<Path> model(
      Settings settings, String key, Function<String, Path> models, boolean used, boolean needed) {
    Optional<String> named = settings.text(key);
    if (named.isEmpty() || !used) {
      return Optional.empty();
    }
    try {
      return named.map(models);
    } catch (EngineException e) {
      if (needed && e.kind() == EngineException.Kind.ENVIRONMENT) {
        throw e;
      }
      if (needed || e.getCause() instanceof InvalidPathException) {
        settings.problem(key + ": " + e.getMessage());
        return Optional.empty();
      }
      LOG.warn("{}: {}", key, e.getMessage());
      return named.map(Path::of);
    }
  }

  private static Set<StageRole> roles(Settings settings) {
    List<String> names = settings.list("roles");
    if (names.isEmpty()) {
      return EnumSet.allOf(StageRole.class);
    }
    Set<StageRole> roles = EnumSet.noneOf(StageRole.class);
    for (String name : names) {
      switch (name) {
        case "query" -> roles.add(StageRole.QUERY);
        case "shards" -> roles.add(StageRole.SHARDS);
        case "merge" -> roles.add(StageRole.MERGE);
        default -> settings.problem("roles has '" + name + "', but knows query, shards and merge");
      }
    }
    return roles;
  }

  private static List<Path> paths(Settings settings, String key) {
    return settings.list(key).stream().map(Path::of).toList();
  }

  private static EngineOptions engine(Settings settings) {
    String device = settings.text("engine.device", "auto");
    if (!device.matches("auto|cpu|cuda:[0-9]{1,3}")) {
      settings.problem("engine.device is '" + device + "', but must be auto, cpu or cuda:N");
      device = "auto";
    }
    EngineOptions defaults = EngineOptions.defaults().withDevice(device);
    return new EngineOptions(
        EngineOptions.Dtype.FP32,
        device,
        defaults.packTokens(),
        settings.bytes("engine.memory", 0, 0, 1L << 40),
        settings.integer("engine.threads", 0, 0, 1024),
        0,
        List.of(),
        settings.text("engine.native-dir").map(Path::of));
  }

  private static Asked asked(Settings settings) {
    Method method = settings.choice("query.method", Method.class, Method.MULTI_STAGE);
    int rerank = settings.integer("query.rerank", 100, 0, MOST_RERANK);
    Preselection preselect = preselect(settings);
    if (rerank == 0 && !preselect.isNone()) {
      settings.problem(
          "query.preselect is "
              + preselect.text()
              + ", but query.rerank is 0: what is preselected would not be ranked");
    }
    return new Asked(
        settings.text("query.index"),
        method == Method.MULTI_STAGE,
        settings.choice("query.measure", Measure.class, Measure.LOG_LIKELIHOOD),
        damping(settings, "query.alpha"),
        damping(settings, "query.lambda"),
        settings.integer("query.top", 10, 1, MOST_TOP),
        rerank,
        preselect,
        settings.duration(
            "query.deadline", Duration.ofSeconds(60), Duration.ofMillis(100), LONGEST_DEADLINE),
        settings.flag("results.include-excerpts", true));
  }

  private static Preselection preselect(Settings settings) {
    try {
      return settings.text("query.preselect").map(Preselection::parse).orElse(Preselection.NONE);
    } catch (InfluenceException e) {
      settings.problem("query.preselect: " + e.getMessage());
      return Preselection.NONE;
    }
  }

  private static Damping damping(Settings settings, String key) {
    try {
      return settings.text(key).map(Damping::parse).orElse(Damping.DEFAULT);
    } catch (InfluenceException e) {
      settings.problem(key + ": " + e.getMessage());
      return Damping.DEFAULT;
    }
  }
}
