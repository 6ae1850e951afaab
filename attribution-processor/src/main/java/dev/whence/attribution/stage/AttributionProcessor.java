package dev.whence.attribution.stage;

import dev.whence.attribution.confidence.Calibrator;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.engine.EngineException;
import dev.whence.engine.kernel.TorchRuntime;
import dev.whence.engine.weights.NamedModels;
import dev.whence.runtime.config.ConfigException;
import dev.whence.runtime.config.InstanceName;
import dev.whence.runtime.config.RuntimeConfig;
import dev.whence.runtime.config.Settings;
import dev.whence.runtime.health.Health;
import dev.whence.runtime.health.ProcessMetrics;
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
import dev.whence.schemas.avro.ModelRelease;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The attribution processor: wires configuration to parts. {@code whence serve attribution} calls
 * {@link #run}; the quickstart and tests {@link #start} it in their own process.
 *
 * <pre>
 * FAST
 * whence.responses -> Worker -> FastStage -> Attributor, FastPath -> whence.attributions
 *                                   ^            ^                -> whence.attributions.escalated
 *                                   |            |                -> whence.dlq.responses
 * whence.models -> ModelReleases ---+            |
 * whence.attributions.agreements -> AgreementLog +
 *
 * TARGET
 * whence.attributions.escalated -> Worker -> TargetStage -> Attributor -> whence.attributions
 *                                                ^                     -> whence.attributions.agreements
 *                                                |                     -> whence.dlq.attributions.escalated
 * whence.models -> ModelReleases ----------------+
 * </pre>
 */
public final class AttributionProcessor implements Processor {
  private static final Logger LOG = LoggerFactory.getLogger(AttributionProcessor.class);
  private static final Duration RELEASES_READ = Duration.ofSeconds(15);

  private final ProcessShell shell;
  private final ModelReleases releases;
  private final Optional<AgreementLog> agreements;
  private final Worker worker;

  private AttributionProcessor(
      ProcessShell shell,
      ModelReleases releases,
      Optional<AgreementLog> agreements,
      Worker worker) {
    this.shell = shell;
    this.releases = releases;
    this.agreements = agreements;
    this.worker = worker;
  }

  /**
   * Runs until the process is told to end (SIGTERM, Ctrl-C) or gives up.
   *
   * @param settings of the process
   * @param environment of the process, for finding its instance's name
   * @param named models that the launcher knows by name
   * @return exit status: 0 after a normal end, 1 if it gave up; the reason is logged
   * @throws ConfigException if the configuration is wrong
   */
  public static int run(
      Settings settings, Map<String, String> environment, Function<String, Optional<Path>> named) {
    AvroLimits.setSystemProperties();
    AttributionConfig config = AttributionConfig.read(settings);
    AttributionProcessor processor =
        start(config, environment, named, loader(config), Halt.process());
    return ProcessRun.untilTheEnd("attribution", processor, TorchRuntime::awaitLastCall);
  }

  /**
   * Starts a processor; it is ready when {@link #health} says so.
   *
   * @throws ConfigException if the model does not exist or an address can not be bound
   */
  public static AttributionProcessor start(
      AttributionConfig config, Map<String, String> environment) {
    return start(config, environment, loader(config), Halt.process());
  }

  private static ModelLoader loader(AttributionConfig config) {
    return config.server().isPresent()
        ? new RemoteModelLoader(config.server().get())
        : new LocalModelLoader(config.engine());
  }

  /**
   * Starts a processor whose models come from elsewhere than {@code config.engine()}.
   *
   * @param loader of the models
   * @param halt ends the process when the model hangs
   * @throws ConfigException if the model does not exist or an address can not be bound
   */
  public static AttributionProcessor start(
      AttributionConfig config, Map<String, String> environment, ModelLoader loader, Halt halt) {
    return start(config, environment, name -> Optional.empty(), loader, halt);
  }

  private static AttributionProcessor start(
      AttributionConfig config,
      Map<String, String> environment,
      Function<String, Optional<Path>> named,
      ModelLoader loader,
      Halt halt) {
    Optional<Path> model =
        config.model().map(name -> find(new NamedModels(named, environment), name));
    return ProcessShell.start(
        config.runtime().http(), shell -> start(config, environment, model, loader, halt, shell));
  }

  private static AttributionProcessor start(
      AttributionConfig config,
      Map<String, String> environment,
      Optional<Path> model,
      ModelLoader loader,
      Halt halt,
      ProcessShell shell) {
    RuntimeConfig runtime = config.runtime();
    String instance = InstanceName.of(runtime, environment);
    Topics topics = new Topics(runtime.topicPrefix());
    Clients clients = new Clients(runtime.connection());
    Health health = shell.health();
    PrometheusMeterRegistry meters = shell.meters();
    ScoringModel scoring =
        new ScoringModel(
            loader,
            runtime.models(),
            config.attribution(),
            model,
            config.engine().aliases(),
            config.chatTemplate(),
            meters);
    ProcessMetrics.nativeMemory(meters, scoring::nativeBytes);
    AttributionMetrics.trunkReuse(meters, scoring::trunkReuse);
    Role role = config.role();
    ModelReleases releases =
        new ModelReleases(clients, topics.models().name(), role.releases(), health, meters, halt);
    Optional<Calibrator> calibrator =
        config
            .escalation()
            .map(
                options ->
                    new Calibrator(options.window(), options.leastPairs(), options.agreement()));
    Optional<AgreementLog> agreements =
        calibrator.map(known -> new AgreementLog(clients, topics.agreements().name(), known, halt));
    Parts parts =
        new Parts(
            config,
            topics,
            clients,
            instance,
            scoring,
            () -> releases.awaitReleases(RELEASES_READ),
            new AttributionMetrics(meters));
    calibrator.ifPresent(
        all -> measureFastPath(all, config.attribution().method(), scoring, meters));
    Topic source = role == Role.FAST ? topics.responses() : topics.escalations();
    Topic further = role == Role.FAST ? topics.escalations() : topics.agreements();
    Worker worker =
        new Worker(
            WorkerOptions.of(
                runtime,
                instance,
                source.name(),
                topics.deadLettersOf(source).name(),
                Set.of(topics.attributions().name(), further.name())),
            role == Role.FAST ? parts.fast(calibrator, agreements) : parts.target(),
            clients,
            health,
            meters,
            halt);
    LOG.info("instance {} of group {}", instance, runtime.group());
    releases.start(
        new ReleaseTakeOver(
            scoring::takeOver,
            runtime.failures(),
            worker::betweenBatches,
            scoring::countFailedLoad));
    agreements.ifPresent(AgreementLog::start);
    worker.start();
    return new AttributionProcessor(shell, releases, agreements, worker);
  }

  /** What both stages are made of. */
  private record Parts(
      AttributionConfig config,
      Topics topics,
      Clients clients,
      String instance,
      ScoringModel scoring,
      Supplier<List<ModelRelease>> releases,
      AttributionMetrics metrics) {

    private AttributionEvents events(EventWriter writer) {
      return new AttributionEvents(
          writer, topics.attributions().name(), config.includeText(), config.includeTokens());
    }

    Stage fast(Optional<Calibrator> calibrator, Optional<AgreementLog> agreements) {
      AvroValues values = new AvroValues(config.runtime().connection());
      EventWriter writer = new EventWriter(values, Role.FAST.stage(), instance);
      return new FastStage(
          values,
          events(writer),
          config.sampling(),
          scoring,
          releases,
          metrics,
          config
              .escalation()
              .flatMap(options -> calibrator.map(known -> new FastPath(options, known))),
          new Escalations(
              writer,
              topics.escalations().name(),
              // No larger than the target reads, where the topic takes more than its catalogue
              // says.
              () ->
                  Math.min(
                      clients.largestMessageBytes(topics.escalations().name()),
                      topics.escalations().maxMessageBytes()),
              () -> clients.partitions(topics.escalations().name())),
          () -> agreements.ifPresent(AgreementLog::await),
          config.largestRecordBytes());
    }

    Stage target() {
      AvroValues values = new AvroValues(config.runtime().connection());
      EventWriter writer = new EventWriter(values, Role.TARGET.stage(), instance);
      return new TargetStage(
          values,
          events(writer),
          writer,
          topics.agreements().name(),
          scoring,
          releases,
          metrics,
          new Budget(config.budget(), System::nanoTime),
          InstantSource.system(),
          // The limit is for responses; an escalation holds the fast result, too.
          Math.max(config.largestRecordBytes(), topics.escalations().maxMessageBytes()));
    }
  }

  /** A path, else a name that the launcher knows, else one in the Hugging Face hub cache. */
  private static Path find(NamedModels models, String model) {
    try {
      return models.resolve(model);
    } catch (EngineException e) {
      throw new ConfigException(List.of("model: " + e.getMessage()));
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

  @Override
  public CompletableFuture<Void> ended() {
    return worker.ended();
  }

  @Override
  public void close() {
    worker.close();
    releases.close();
    agreements.ifPresent(AgreementLog::close);
    shell.close();
  }

  /** Of whole results and, where a deadline can end some, of those: they are kept apart. */
  private static void measureFastPath(
      Calibrator calibrator, MethodOptions method, ScoringModel scoring, MeterRegistry meters) {
    for (boolean ended : method.deadline().isZero() ? List.of(false) : List.of(false, true)) {
      AttributionMetrics.fastPath(
          meters,
          ended,
          () -> calibrator.known(scoring.key(FastPath.measuredAs(method.name(), ended))));
    }
  }
}
