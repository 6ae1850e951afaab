package dev.whence.runtime.health;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.runtime.config.HttpEndpoint;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.net.SocketException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class HealthServerTest {
  private final Health health = new Health();
  private final PrometheusMeterRegistry meters =
      new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
  private HealthServer server;

  @BeforeEach
  void open() throws Exception {
    server = HealthServer.open(new HttpEndpoint("127.0.0.1", 0), health, meters);
  }

  @AfterEach
  void close() {
    server.close();
  }

  @Test
  void partsOfPartsAreToldApart() throws Exception {
    health.within("queries").notReady("worker", "starting");
    health.within("shards").notReady("worker", "starting");
    health.within("queries").ready("worker");
    assertThat(get("/health/ready").body()).isEqualTo("shards worker: starting\n");
    health.within("shards").dead("it hangs");
    assertThat(health.isAlive()).isFalse();
  }

  @Test
  void readyMeansThatEveryPartIs() throws Exception {
    health.notReady("worker", "starting");
    health.notReady("environment", "the registry is away");
    assertThat(get("/health/ready").statusCode()).isEqualTo(503);
    assertThat(get("/health/ready").body())
        .isEqualTo("environment: the registry is away\nworker: starting\n");
    assertThat(get("/health/live").statusCode()).isEqualTo(200);
    health.ready("worker");
    health.ready("environment");
    assertThat(get("/health/ready").statusCode()).isEqualTo(200);
  }

  @Test
  void aDeadProcessIsNeitherAliveNorReady() throws Exception {
    health.dead("the model hangs");
    assertThat(get("/health/live").statusCode()).isEqualTo(503);
    assertThat(get("/health/live").body()).isEqualTo("the model hangs\n");
    assertThat(get("/health/ready").statusCode()).isEqualTo(503);
  }

  @Test
  void metricsArePrometheusText() throws Exception {
    new WorkerMetrics(meters, "echo").expired(7);
    assertThat(get("/metrics").body()).contains("whence_records_expired_total{stage=\"echo\"} 7.0");
  }

  @Test
  void nothingElseIsServed() throws Exception {
    assertThat(get("/").statusCode()).isEqualTo(404);
    assertThat(get("/health/ready/x").statusCode()).isEqualTo(404);
    HttpRequest post =
        HttpRequest.newBuilder(uri("/metrics"))
            .POST(HttpRequest.BodyPublishers.ofString("x"))
            .build();
    assertThat(
            HttpClient.newHttpClient()
                .send(post, HttpResponse.BodyHandlers.ofString())
                .statusCode())
        .isEqualTo(405);
  }

  @Test
  void clientsThatDoNotFinishTheirRequestsDoNotHoldUpWhoAsksForLife() throws Exception {
    List<Socket> halfOpen = halfOpen(server, 8);
    try {
      assertThat(get(server, "/health/live", Duration.ofSeconds(4)).statusCode()).isEqualTo(200);
    } finally {
      close(halfOpen);
    }
  }

  @Test
  void aClientThatDoesNotFinishItsRequestIsClosedSoThatManyOfThemDoNotLast() throws Exception {
    try (HealthServer impatient =
        HealthServer.open(
            new HttpEndpoint("127.0.0.1", 0), health, meters, Duration.ofMillis(300))) {
      List<Socket> halfOpen = halfOpen(impatient, 100);
      try {
        assertThat(get(impatient, "/health/live", Duration.ofSeconds(20)).statusCode())
            .isEqualTo(200);
        for (Socket socket : halfOpen) {
          socket.setSoTimeout(20_000);
          assertThat(closed(socket)).isTrue();
        }
      } finally {
        close(halfOpen);
      }
    }
  }

  /** A probe that waits for them to be done fails, and a process that lives is killed. */
  @Test
  void whoAsksForLifeIsAnsweredAtOnceHoweverManyClientsHoldUpTheirRequests() throws Exception {
    assertThat(get(server, "/health/live", Duration.ofSeconds(20)).statusCode()).isEqualTo(200);
    List<Socket> halfOpen = halfOpen(server, 300);
    try {
      for (int i = 0; i < 3; i++) {
        halfOpen.addAll(halfOpen(server, 40));
        assertThat(get(server, "/health/live", Duration.ofSeconds(3)).statusCode()).isEqualTo(200);
      }
      for (Socket socket : halfOpen.subList(0, 100)) {
        socket.setSoTimeout(20_000);
        assertThat(closed(socket)).as("nothing is kept for it").isTrue();
      }
    } finally {
      close(halfOpen);
    }
  }

  private static boolean closed(Socket socket) throws IOException {
    try {
      return socket.getInputStream().read() == -1;
    } catch (SocketException e) {
      return true; // what it had sent was not read
    }
  }

  private static List<Socket> halfOpen(HealthServer server, int count) throws Exception {
    List<Socket> sockets = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      Socket socket = new Socket(InetAddress.getLoopbackAddress(), server.port());
      socket
          .getOutputStream()
          .write("GET /health/live HTTP/1.1\r\nHost: ".getBytes(StandardCharsets.US_ASCII));
      sockets.add(socket);
    }
    return sockets;
  }

  private static void close(List<Socket> sockets) throws Exception {
    for (Socket socket : sockets) {
      socket.close();
    }
  }

  private static HttpResponse<String> get(HealthServer server, String path, Duration atMost)
      throws Exception {
    URI uri = URI.create("http://127.0.0.1:" + server.port() + path);
    return HttpClient.newHttpClient()
        .send(
            HttpRequest.newBuilder(uri).timeout(atMost).build(),
            HttpResponse.BodyHandlers.ofString());
  }

  @Test
  void aTakenPortIsOneSentence() {
    assertThatThrownBy(
            () -> HealthServer.open(new HttpEndpoint("127.0.0.1", server.port()), health, meters))
        .hasMessageContaining("127.0.0.1:" + server.port())
        .hasMessageContaining("http.port");
  }

  private URI uri(String path) {
    return URI.create("http://127.0.0.1:" + server.port() + path);
  }

  private HttpResponse<String> get(String path) throws Exception {
    return HttpClient.newHttpClient()
        .send(HttpRequest.newBuilder(uri(path)).build(), HttpResponse.BodyHandlers.ofString());
  }
}
