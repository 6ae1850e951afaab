package dev.whence.runtime.process;

import dev.whence.runtime.config.ConfigException;
import dev.whence.runtime.config.HttpEndpoint;
import dev.whence.runtime.health.Health;
import dev.whence.runtime.health.HealthServer;
import dev.whence.runtime.health.ProcessMetrics;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Function;

/** What every processor has around its stages: health, metrics, and where both are served. */
public final class ProcessShell implements AutoCloseable {
  private static final String PART = "process";

  private final Health health;
  private final PrometheusMeterRegistry meters;
  private final ProcessMetrics processMetrics;
  private final Optional<HealthServer> http;

  private ProcessShell(Health health, PrometheusMeterRegistry meters, Optional<HealthServer> http) {
    this.health = health;
    this.meters = meters;
    this.processMetrics = new ProcessMetrics(meters);
    this.http = http;
  }

  /**
   * Starts a processor within a shell, which is not ready before that has been done.
   *
   * @param processor starts its stages, and closes the shell with them; where it throws, nobody
   *     else could
   * @throws ConfigException if the address can not be bound
   */
  public static <P> P start(HttpEndpoint endpoint, Function<ProcessShell, P> processor) {
    ProcessShell shell = open(endpoint);
    boolean started = false;
    try {
      P one = processor.apply(shell);
      shell.health.ready(PART);
      started = true;
      return one;
    } finally {
      if (!started) {
        shell.close();
      }
    }
  }

  private static ProcessShell open(HttpEndpoint endpoint) {
    Health health = new Health();
    health.notReady(PART, "starting");
    PrometheusMeterRegistry meters = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
    if (endpoint.port() < 0) {
      return new ProcessShell(health, meters, Optional.empty());
    }
    try {
      return new ProcessShell(
          health, meters, Optional.of(HealthServer.open(endpoint, health, meters)));
    } catch (IOException e) {
      throw new ConfigException(List.of(String.valueOf(e.getMessage())));
    }
  }

  public Health health() {
    return health;
  }

  public PrometheusMeterRegistry meters() {
    return meters;
  }

  /** Port of health and metrics, if they are served. */
  public OptionalInt httpPort() {
    return http.map(server -> OptionalInt.of(server.port())).orElse(OptionalInt.empty());
  }

  /** Closed last: what the stages say as they end is still served. */
  @Override
  public void close() {
    http.ifPresent(HealthServer::close);
    processMetrics.close();
    meters.close();
  }
}
