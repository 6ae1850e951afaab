package dev.whence.transfer.stage;

import dev.whence.engine.kernel.TorchRuntime;
import dev.whence.runtime.config.ConfigException;
import dev.whence.runtime.config.InstanceName;
import dev.whence.runtime.config.Settings;
import dev.whence.runtime.health.Health;
import dev.whence.runtime.health.HealthServer;
import dev.whence.runtime.health.ProcessMetrics;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.worker.Halt;
import dev.whence.schemas.AvroLimits;
import dev.whence.schemas.Topics;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The transfer processor: wires configuration to parts. {@code whence serve transfer} calls {@link
 * #run}; the quickstart and tests {@link #start} it in their own process.
 *
 * <pre>
 * whence.transfers (REQUESTED) -> TransferStage -> TransferJob -> GatedTransfer -> merge, gates
 * whence.models (new bases)    -------^     |  STARTED, PROGRESS, GATED, PUBLISHED | REJECTED | FAILED
 *                                           v
 *                        whence.transfers, and whence.models when it is PUBLISHED
 * </pre>
 */
public final class TransferProcessor implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(TransferProcessor.class);
  private static final Duration LAST_CALL = Duration.ofSeconds(10);

  private final Health health;
  private final PrometheusMeterRegistry meters;
  private final ProcessMetrics processMetrics;
  private final Optional<HealthServer> http;
  private final TransferStage stage;

  private TransferProcessor(
      Health health,
      PrometheusMeterRegistry meters,
      ProcessMetrics processMetrics,
      Optional<HealthServer> http,
      TransferStage stage) {
    this.health = health;
    this.meters = meters;
    this.processMetrics = processMetrics;
    this.http = http;
    this.stage = stage;
  }

  /**
   * Runs until the process is told to end (SIGTERM, Ctrl-C) or gives up.
   *
   * @return exit status: 0 after a normal end, 1 if it gave up; the reason is logged
   * @throws ConfigException if the configuration is wrong
   */
  public static int run(Settings settings, Map<String, String> environment) {
    AvroLimits.setSystemProperties();
    TransferProcessor processor = start(TransferConfig.read(settings), environment);
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(
                () -> {
                  processor.close();
                  boolean unused = TorchRuntime.quiesce(LAST_CALL);
                },
                "shutdown"));
    try {
      processor.ended().join();
      return 0;
    } catch (CompletionException e) {
      Throwable cause = e.getCause() == null ? e : e.getCause();
      LOG.error("the transfer processor gave up: {}", cause.getMessage());
      processor.close();
      return 1;
    }
  }

  /**
   * Starts a processor; it is ready when {@link #health} says so.
   *
   * @throws ConfigException if an address can not be bound
   */
  public static TransferProcessor start(TransferConfig config, Map<String, String> environment) {
    String instance = InstanceName.of(config.runtime(), environment);
    Health health = new Health();
    PrometheusMeterRegistry meters = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
    Optional<HealthServer> http = Optional.empty();
    if (config.runtime().http().port() >= 0) {
      try {
        http = Optional.of(HealthServer.open(config.runtime().http(), health, meters));
      } catch (IOException e) {
        throw new ConfigException(List.of(String.valueOf(e.getMessage())));
      }
    }
    TransferStage stage =
        new TransferStage(
            config,
            new Clients(config.runtime().connection()),
            new Topics(config.runtime().topicPrefix()),
            instance,
            health,
            meters,
            Halt.process());
    LOG.info("instance {} of group {}", instance, config.runtime().group());
    stage.start();
    return new TransferProcessor(health, meters, new ProcessMetrics(meters), http, stage);
  }

  /** Whether the processor is alive and ready. */
  public Health health() {
    return health;
  }

  /** Port of health and metrics, if they are served. */
  public OptionalInt httpPort() {
    return http.map(server -> OptionalInt.of(server.port())).orElse(OptionalInt.empty());
  }

  /** Completes when the processor has ended, exceptionally if it gave up. */
  public CompletableFuture<Void> ended() {
    return stage.ended();
  }

  /** Stops: a merge that runs is left where it is, and the next start goes on with it. */
  @Override
  public void close() {
    stage.close();
    http.ifPresent(HealthServer::close);
    processMetrics.close();
    meters.close();
  }
}
