package dev.whence.runtime.health;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.whence.runtime.config.HttpEndpoint;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/**
 * Serves {@code /health/live}, {@code /health/ready} and {@code /metrics}. 200 is yes, 503 is no
 * with the reasons, one line each. A client that does not finish its request, or does not read the
 * answer, holds one of several threads for a few seconds only: who asks whether this process lives
 * must not wait for it.
 */
public final class HealthServer implements AutoCloseable {
  private static final String METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";
  private static final String TEXT = "text/plain; charset=utf-8";

  private static final int THREADS = 32;
  private static final Duration IDLE_THREAD = Duration.ofSeconds(30);

  /** From the first byte of a request to the last of its answer. */
  private static final Duration PATIENCE = Duration.ofSeconds(5);

  private final HttpServer http;
  private final Duration patience;
  private final ThreadPoolExecutor threads;
  private final ScheduledThreadPoolExecutor clock;

  /** An answer: a status and a text. */
  private record Answer(int status, String type, String text) {}

  private HealthServer(
      HttpServer http, Health health, PrometheusMeterRegistry meters, Duration patience) {
    this.http = http;
    this.patience = patience;
    this.threads =
        new ThreadPoolExecutor(
            THREADS,
            THREADS,
            IDLE_THREAD.toSeconds(),
            TimeUnit.SECONDS,
            new LinkedBlockingQueue<>(),
            task -> daemon(task, "health"));
    threads.allowCoreThreadTimeOut(true);
    this.clock =
        new ScheduledThreadPoolExecutor(
            1, task -> daemon(task, "health-patience"), new ThreadPoolExecutor.DiscardPolicy());
    clock.setRemoveOnCancelPolicy(true);
    http.setExecutor(exchange -> threads.execute(() -> bounded(exchange)));
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
    return open(endpoint, health, meters, PATIENCE);
  }

  static HealthServer open(
      HttpEndpoint endpoint, Health health, PrometheusMeterRegistry meters, Duration patience)
      throws IOException {
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
    HealthServer server = new HealthServer(http, health, meters, patience);
    http.start();
    return server;
  }

  private static Thread daemon(Runnable task, String name) {
    Thread thread = new Thread(task, name);
    thread.setDaemon(true);
    return thread;
  }

  /** Reads a request and answers it; an interrupt closes the connection that is waited for. */
  private void bounded(Runnable exchange) {
    Interruption interruption = new Interruption(Thread.currentThread());
    Future<?> late = clock.schedule(interruption::come, patience.toNanos(), TimeUnit.NANOSECONDS);
    try {
      exchange.run();
    } finally {
      late.cancel(false);
      interruption.noMore();
    }
  }

  /** Of one exchange, never of the next one on the same thread. */
  private static final class Interruption {
    private final Thread thread;
    private boolean over;

    Interruption(Thread thread) {
      this.thread = thread;
    }

    synchronized void come() {
      if (!over) {
        thread.interrupt();
      }
    }

    synchronized void noMore() {
      over = true;
      boolean unused = Thread.interrupted();
    }
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
    clock.shutdownNow();
  }
}
