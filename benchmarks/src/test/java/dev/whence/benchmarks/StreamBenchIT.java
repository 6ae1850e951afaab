package dev.whence.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class StreamBenchIT {
  @Test
  void whatTheStreamAddsToTheModelsTimeIsReported() throws Exception {
    StreamReport report =
        StreamBench.run(
            new StreamBench.Options(Optional.empty(), Optional.empty(), 2, 10, 5, 0, "consumer"),
            sentence -> {});

    assertThat(report.modelTime().p50()).isPositive();
    assertThat(report.overhead().p50()).isPositive();
    assertThat(report.overhead().p99()).isGreaterThanOrEqualTo(report.overhead().p50());
    assertThat(report.responsesPerSecond()).isPositive();
    JsonNode json = new ObjectMapper().readTree(report.json());
    assertThat(json.get("responses").asInt()).isEqualTo(10);
    assertThat(report.evidence("whence bench stream").markdown())
        .contains("| stream overhead |")
        .contains("| group protocol | consumer |");
  }
}
