package dev.whence.runtime.health;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.runtime.config.HttpEndpoint;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
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
