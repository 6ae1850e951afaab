package dev.whence.runtime.health;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.whence.runtime.config.HttpEndpoint;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingDeque;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;

/**
 * Serves {@code /health/live}, {@code /health/ready} and {@code /metrics}. 200 is yes, 503 is no
 * with the reasons, one line each. A client that does not finish its request, or does not read the
 * answer, holds one of several threads for a few seconds only, and for a moment where others wait
 * for a thread: who asks whether this process lives must not wait for it. Of those that wait the
 * newest comes first, and only some wait; the oldest ones are closed.
 */
public final class HealthServer implements AutoCloseable {
  private static final String METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";
  private static final String TEXT = "text/plain; charset=utf-8";

  private static final int THREADS = 32;
  private static final Duration IDLE_THREAD = Duration.ofSeconds(30);

  /** From the first byte of a request to the last of its answer. */
  private static final Duration PATIENCE = Duration.ofSeconds(5);

  /** So long a request may take where others wait. */
  private static final Duration BRIEF = Duration.ofMillis(200);

  private static final int WAITING = 64;

  /**
   * Connections that nobody has accepted yet; where there are more, the next one is a second late.
   */
  private static final int BACKLOG = 128;

  /** Of all servers of the JDK in this process; each connection takes a file descriptor. */
  private static final String CONNECTIONS = "jdk.httpserver.maxConnections";

  private static final String MOST_CONNECTIONS = "1000";

  private final HttpServer http;
  private final Duration patience;
  private final NewestFirst waiting = new NewestFirst();
  private final Set<Interruption> running = ConcurrentHashMap.newKeySet();
  private final AtomicBoolean roomIsMadeSoon = new AtomicBoolean();
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
            waiting,
            task -> daemon(task, "health"),
            (task, full) -> closeOldestFor(task));
    threads.allowCoreThreadTimeOut(true);
    this.clock =
        new ScheduledThreadPoolExecutor(
            1, task -> daemon(task, "health-patience"), new ThreadPoolExecutor.DiscardPolicy());
    clock.setRemoveOnCancelPolicy(true);
    http.setExecutor(this::begin);
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
    if (System.getProperty(CONNECTIONS) == null) {
      System.setProperty(CONNECTIONS, MOST_CONNECTIONS); // read when the first server is made
    }
    HttpServer http;
    try {
      http = HttpServer.create(new InetSocketAddress(endpoint.bind(), endpoint.port()), BACKLOG);
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

  /** Requests that wait for a thread. Who came first may no longer be there. */
  private static final class NewestFirst extends LinkedBlockingDeque<Runnable> {
    private static final long serialVersionUID = 1L;

    NewestFirst() {
      super(WAITING);
    }

    @Override
    public boolean offer(Runnable exchange) {
      return offerFirst(exchange);
    }
  }

  /** On the server's one thread that hands requests over. */
  private void begin(Runnable exchange) {
    threads.execute(() -> bounded(exchange));
    makeRoomSoon();
  }

  private void closeOldestFor(Runnable exchange) {
    Runnable oldest = waiting.pollLast();
    if (oldest != null) {
      clock.execute(() -> close(oldest));
    }
    if (!waiting.offer(exchange)) {
      throw new RejectedExecutionException("closed"); // and so the connection is
    }
  }

  /** A connection is closed by whoever reads from it while he is interrupted. */
  private static void close(Runnable exchange) {
    Thread.currentThread().interrupt();
    try {
      exchange.run();
    } finally {
      boolean unused = Thread.interrupted();
    }
  }

  private void makeRoomSoon() {
    if (!waiting.isEmpty() && roomIsMadeSoon.compareAndSet(false, true)) {
      var unused = clock.schedule(this::makeRoom, BRIEF.toNanos(), TimeUnit.NANOSECONDS);
    }
  }

  /** Ends the requests that have had their moment, if any waits for a thread. */
  private void makeRoom() {
    roomIsMadeSoon.set(false);
    if (!waiting.isEmpty()) {
      long now = System.nanoTime();
      for (Interruption one : running) {
        if (now - one.began >= BRIEF.toNanos()) {
          one.come();
        }
      }
      makeRoomSoon();
    }
  }

  /** Reads a request and answers it; an interrupt closes the connection that is waited for. */
  private void bounded(Runnable exchange) {
    Interruption interruption = new Interruption(Thread.currentThread());
    Future<?> late = clock.schedule(interruption::come, patience.toNanos(), TimeUnit.NANOSECONDS);
    running.add(interruption);
    try {
      exchange.run();
    } finally {
      running.remove(interruption);
      late.cancel(false);
      interruption.noMore();
    }
  }

  /** Of one exchange, never of the next one on the same thread. */
  private static final class Interruption {
    private final Thread thread;
    private final long began = System.nanoTime();
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
