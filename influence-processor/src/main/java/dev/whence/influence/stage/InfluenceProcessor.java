package dev.whence.influence.stage;

import dev.whence.engine.kernel.TorchRuntime;
import dev.whence.engine.weights.NamedModels;
import dev.whence.runtime.config.ConfigException;
import dev.whence.runtime.config.InstanceName;
import dev.whence.runtime.config.RuntimeConfig;
import dev.whence.runtime.config.Settings;
import dev.whence.runtime.config.Start;
import dev.whence.runtime.health.Health;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.models.ModelReleases;
import dev.whence.runtime.models.ReleaseTakeOver;
import dev.whence.runtime.process.ProcessRun;
import dev.whence.runtime.process.ProcessShell;
import dev.whence.runtime.process.Processor;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.EventWriter;
import dev.whence.runtime.worker.Halt;
import dev.whence.runtime.worker.Stage;
import dev.whence.runtime.worker.Worker;
import dev.whence.runtime.worker.WorkerOptions;
import dev.whence.schemas.AvroLimits;
import dev.whence.schemas.Topic;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.ModelRole;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The influence processor: wires configuration to parts. {@code whence serve influence} calls
 * {@link #run}; the quickstart and tests {@link #start} it in their own process. A process does
 * one, two or all three of these:
 *
 * <pre>
 * QUERY
 * whence.responses (sampled)  -&gt; Worker -&gt; QueryStage -+-&gt; whence.influence.partials (OPEN)
 * whence.influence.requests   -&gt; Worker -&gt; QueryStage -+-&gt; whence.influence.queries, each partition
 * whence.models -&gt; ModelReleases -&gt; QueryModel --^     +-&gt; whence.influences (UNSUPPORTED, FAILED)
 *
 * SHARDS
 * whence.influence.queries    -&gt; Worker -&gt; ShardStage ---&gt; whence.influence.partials (ANSWER)
 * whence.models -&gt; ModelReleases -------------^
 *
 * MERGE
 * whence.influence.partials   -&gt; MergeTopology ----------&gt; whence.influences
 * </pre>
 */
public final class InfluenceProcessor implements Processor {
  private static final Logger LOG = LoggerFactory.getLogger(InfluenceProcessor.class);
  private static final Duration RELEASES_READ = Duration.ofSeconds(15);

  private final ProcessShell shell;
  private final Optional<ModelReleases> releases;
  private final Optional<QueryModel> model;
  private final List<Worker> workers;
  private final Optional<MergeStreams> merge;
  private final CompletableFuture<Void> ended;

  private InfluenceProcessor(Building parts) {
    this.shell = parts.shell;
    this.releases = parts.releases;
    this.model = parts.model;
    this.workers = List.copyOf(parts.workers);
    this.merge = parts.merge;
    List<CompletableFuture<Void>> all = new ArrayList<>();
    workers.forEach(worker -> all.add(worker.ended()));
    merge.ifPresent(one -> all.add(one.ended()));
    this.ended = new CompletableFuture<>();
    // The first that gives up ends the process; that all have ended ends it, too.
    all.forEach(
        one -> {
          var unused =
              one.exceptionally(
                  thrown -> {
                    ended.completeExceptionally(thrown);
                    return null;
                  });
        });
    var unused =
        CompletableFuture.allOf(all.toArray(CompletableFuture[]::new))
            .thenRun(() -> ended.complete(null));
  }

  /**
   * Runs until the process is told to end (SIGTERM, Ctrl-C) or gives up.
   *
   * @param settings of the process
   * @param environment of the process, for finding its instance's name and models
   * @param named models that the launcher knows by name
   * @return exit status: 0 after a normal end, 1 if it gave up; the reason is logged
   * @throws ConfigException if the configuration is wrong
   */
  public static int run(
      Settings settings, Map<String, String> environment, Function<String, Optional<Path>> named) {
    AvroLimits.setSystemProperties();
    InfluenceProcessor processor =
        start(
            InfluenceConfig.read(settings, new NamedModels(named, environment)::resolve),
            environment);
    return ProcessRun.untilTheEnd("influence", processor, TorchRuntime::awaitLastCall);
  }

  /**
   * Starts a processor; it is ready when {@link #health} says so.
   *
   * @throws ConfigException if an address can not be bound
   */
  public static InfluenceProcessor start(InfluenceConfig config, Map<String, String> environment) {
    return start(config, environment, Halt.process());
  }

  /**
   * Starts a processor.
   *
   * @param halt ends the process when the model hangs
   * @throws ConfigException if an address can not be bound
   */
  public static InfluenceProcessor start(
      InfluenceConfig config, Map<String, String> environment, Halt halt) {
    String instance = InstanceName.of(config.runtime(), environment);
    return ProcessShell.start(
        config.runtime().http(), shell -> start(new Building(config, instance, halt, shell)));
  }

  private static InfluenceProcessor start(Building parts) {
    InfluenceConfig config = parts.config;
    LOG.info(
        "instance {} of group {}: {}", parts.instance, config.runtime().group(), config.roles());
    if (config.roles().contains(StageRole.QUERY)) {
      parts.query();
    }
    if (config.roles().contains(StageRole.SHARDS)) {
      parts.shards();
    }
    if (config.roles().contains(StageRole.MERGE)) {
      parts.merge();
    }
    parts.follow();
    parts.workers.forEach(Worker::start);
    parts.merge.ifPresent(MergeStreams::start);
    return new InfluenceProcessor(parts);
  }

  /** The parts, as they are put together. */
  private static final class Building {
    final InfluenceConfig config;
    final RuntimeConfig runtime;
    final String instance;
    final Halt halt;
    final Topics topics;
    final Clients clients;
    final ProcessShell shell;
    final Health health;
    final PrometheusMeterRegistry meters;
    final InfluenceMetrics metrics;
    final List<Worker> workers = new ArrayList<>();
    final List<ModelReleases.Listener> takeOver = new ArrayList<>();
    Optional<ModelReleases> releases = Optional.empty();
    Optional<QueryModel> model = Optional.empty();
    Optional<MergeStreams> merge = Optional.empty();

    Building(InfluenceConfig config, String instance, Halt halt, ProcessShell shell) {
      this.config = config;
      this.runtime = config.runtime();
      this.instance = instance;
      this.halt = halt;
      this.topics = new Topics(runtime.topicPrefix());
      this.clients = new Clients(runtime.connection());
      this.shell = shell;
      this.health = shell.health();
      this.meters = shell.meters();
      this.metrics = new InfluenceMetrics(meters);
    }

    /** Of the parts of a process, each has a group of its own. */
    private String group(String part) {
      return runtime.group() + "-" + part;
    }

    /** Which models are live, for the parts that need one. */
    private ModelReleases releases() {
      ModelReleases followed =
          releases.orElseGet(
              () ->
                  new ModelReleases(
                      clients, topics.models().name(), ModelRole.INFLUENCE, health, meters, halt));
      releases = Optional.of(followed);
      return followed;
    }

    void follow() {
      releases.ifPresent(
          followed -> followed.start(release -> takeOver.forEach(part -> part.live(release))));
    }

    void query() {
      QueryModel shared = new QueryModel(config, meters);
      model = Optional.of(shared);
      Worker sampled =
          worker(
              "queries",
              topics.responses(),
              Set.of(topics.influences(), topics.influencePartials(), topics.influenceQueries()),
              queryStage(QueryStage.SAMPLED, shared, releases()));
      Worker requested =
          worker(
              "requests",
              topics.influenceRequests(),
              Set.of(topics.influences(), topics.influencePartials(), topics.influenceQueries()),
              queryStage(QueryStage.REQUESTED, shared, releases()));
      workers.add(sampled);
      workers.add(requested);
      takeOver.add(
          new ReleaseTakeOver(
              shared::takeOver,
              runtime.failures(),
              sampled::betweenBatches,
              shared::countFailedLoad));
    }

    private Stage queryStage(String name, QueryModel shared, ModelReleases followed) {
      AvroValues values = new AvroValues(runtime.connection());
      EventWriter writer = new EventWriter(values, name, instance);
      return new QueryStage(
          name,
          name.equals(QueryStage.SAMPLED) ? Optional.of(config.sampling()) : Optional.empty(),
          values,
          new InfluenceEvents(writer, topics.influences().name(), config.query()),
          new ResponseQueries(
              writer,
              topics.influenceQueries().name(),
              topics.influencePartials().name(),
              config.query(),
              config.claimCheck().map(ClaimCheck::new),
              config.inlineBytes(),
              InstantSource.system()),
          shared,
          () -> followed.awaitReleases(RELEASES_READ),
          this::partitionsOfQueries,
          config,
          metrics);
    }

    void shards() {
      AvroValues values = new AvroValues(runtime.connection());
      ModelReleases followed = releases();
      AtomicReference<@Nullable Worker> worker = new AtomicReference<>();
      ShardStage stage =
          new ShardStage(
              values,
              new EventWriter(values, ShardStage.NAME, instance),
              topics.influencePartials().name(),
              config,
              metrics,
              InstantSource.system(),
              instance,
              () -> followed.awaitReleases(RELEASES_READ),
              this::partitionsOfQueries,
              (pause, task) -> Objects.requireNonNull(worker.get()).betweenBatches(pause, task));
      worker.set(
          worker(
              "shards",
              topics.influenceQueries(),
              Set.of(topics.influencePartials()),
              stage,
              Start.EARLIEST)); // each query was written for the shards, by this processor
      workers.add(Objects.requireNonNull(worker.get()));
      takeOver.add(stage.takeOver());
    }

    void merge() {
      merge =
          Optional.of(
              new MergeStreams(
                  runtime,
                  clients,
                  config.largestRecordBytes(),
                  config.openBytes(),
                  group("merge"),
                  instance,
                  topics,
                  metrics,
                  meters,
                  health,
                  halt));
    }

    private Worker worker(String part, Topic source, Set<Topic> sinks, Stage stage) {
      return worker(part, source, sinks, stage, runtime.start());
    }

    private Worker worker(String part, Topic source, Set<Topic> sinks, Stage stage, Start start) {
      return new Worker(
          WorkerOptions.of(
                  runtime,
                  instance,
                  source.name(),
                  topics.deadLettersOf(source).name(),
                  Set.copyOf(sinks.stream().map(Topic::name).toList()))
              .withGroup(group(part))
              .withStart(start),
          stage,
          clients,
          health.within(part),
          meters,
          halt);
    }

    private int partitionsOfQueries() {
      return clients.partitions(topics.influenceQueries().name());
    }
  }

  @Override
  public Health health() {
    return shell.health();
  }

  /** The processor's metrics. */
  public PrometheusMeterRegistry meters() {
    return shell.meters();
  }

  @Override
  public OptionalInt httpPort() {
    return shell.httpPort();
  }

  /** Exceptionally if a part of it gave up. */
  @Override
  public CompletableFuture<Void> ended() {
    return ended.copy();
  }

  @Override
  public void close() {
    releases.ifPresent(ModelReleases::close);
    // All at once: each may take the whole grace.
    CompletableFuture.allOf(
            workers.stream()
                .map(worker -> CompletableFuture.runAsync(worker::close))
                .toArray(CompletableFuture[]::new))
        .join();
    merge.ifPresent(MergeStreams::close);
    model.ifPresent(QueryModel::close);
    shell.close();
  }
}
