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

/** What every processor has around its stages: health, metrics, and where both are served. */
public final class ProcessShell implements AutoCloseable {
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
   * Serves from now on, where it is to be served.
   *
   * @throws ConfigException if the address can not be bound
   */
  public static ProcessShell open(HttpEndpoint endpoint) {
    Health health = new Health();
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
