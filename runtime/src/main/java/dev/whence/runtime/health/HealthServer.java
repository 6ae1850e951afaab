package dev.whence.runtime.health;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.whence.runtime.config.HttpEndpoint;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Supplier;

/**
 * Serves {@code /health/live}, {@code /health/ready} and {@code /metrics}. 200 is yes, 503 is no
 * with the reasons, one line each.
 */
public final class HealthServer implements AutoCloseable {
  private static final String METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";
  private static final String TEXT = "text/plain; charset=utf-8";

  private final HttpServer http;
  private final ExecutorService threads;

  /** An answer: a status and a text. */
  private record Answer(int status, String type, String text) {}

  private HealthServer(HttpServer http, Health health, PrometheusMeterRegistry meters) {
    this.http = http;
    this.threads =
        Executors.newFixedThreadPool(
            2,
            task -> {
              Thread thread = new Thread(task, "health");
              thread.setDaemon(true);
              return thread;
            });
    http.setExecutor(threads);
    serve("/health/live", () -> live(health));
    serve("/health/ready", () -> ready(health));
    serve("/metrics", () -> new Answer(200, METRICS_TYPE, meters.scrape()));
  }

  /**
   * Starts serving.
   *
   * @throws IOException if the address can not be bound; the message names it
   */
  public static HealthServer open(
      HttpEndpoint endpoint, Health health, PrometheusMeterRegistry meters) throws IOException {
    HttpServer http;
    try {
      http = HttpServer.create(new InetSocketAddress(endpoint.bind(), endpoint.port()), 16);
    } catch (IOException e) {
      throw new IOException(
          "health and metrics can not be served at "
              + endpoint.bind()
              + ":"
              + endpoint.port()
              + " ("
              + e.getMessage()
              + "); set http.bind and http.port",
          e);
    }
    HealthServer server = new HealthServer(http, health, meters);
    http.start();
    return server;
  }

  public int port() {
    return http.getAddress().getPort();
  }

  private static Answer live(Health health) {
    return health
        .deathReason()
        .map(reason -> new Answer(503, TEXT, reason + "\n"))
        .orElseGet(() -> new Answer(200, TEXT, "live\n"));
  }

  private static Answer ready(Health health) {
    if (health.isReady()) {
      return new Answer(200, TEXT, "ready\n");
    }
    StringBuilder reasons = new StringBuilder();
    health.deathReason().ifPresent(reason -> reasons.append(reason).append('\n'));
    health
        .reasons()
        .forEach((part, reason) -> reasons.append(part).append(": ").append(reason).append('\n'));
    return new Answer(503, TEXT, reasons.toString());
  }

  private void serve(String path, Supplier<Answer> answer) {
    http.createContext(
        path,
        exchange -> {
          try (exchange) {
            boolean read = exchange.getRequestMethod().matches("GET|HEAD");
            boolean here = exchange.getRequestURI().getPath().equals(path);
            if (!read || !here) {
              exchange.sendResponseHeaders(here ? 405 : 404, -1);
            } else {
              send(exchange, answer.get());
            }
          }
        });
  }

  private static void send(HttpExchange exchange, Answer answer) throws IOException {
    byte[] body = answer.text().getBytes(StandardCharsets.UTF_8);
    exchange.getResponseHeaders().set("Content-Type", answer.type());
    if (exchange.getRequestMethod().equals("HEAD")) {
      exchange.sendResponseHeaders(answer.status(), -1);
    } else {
      exchange.sendResponseHeaders(answer.status(), body.length);
      exchange.getResponseBody().write(body);
    }
  }

  @Override
  public void close() {
    http.stop(0);
    threads.shutdownNow();
  }
}
