package dev.whence.schemas;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.schemas.avro.Attribution;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class EventHeadersTest {
  private static final String TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

  @Test
  void headersAreCloudEventsInBinaryModeWithTheTraceContext() {
    EventHeaders headers =
        EventHeaders.of(Attribution.getClassSchema(), "attribution-fast", "pod 3", "r-1", 1, TRACE);

    assertThat(texts(headers))
        .isEqualTo(
            Map.of(
                "content-type", "application/avro",
                "ce_specversion", "1.0",
                "ce_type", "dev.whence.Attribution.v1",
                "ce_source", "/whence/attribution-fast/pod%203",
                "ce_id", "r-1/1",
                "traceparent", TRACE));
  }

  @Test
  void aTraceContextThatIsNoneIsLeftOut() {
    EventHeaders headers =
        EventHeaders.of(Attribution.getClassSchema(), "s", "i", "r", 0, "the answer is 42");

    assertThat(headers.traceparent()).isEmpty();
    assertThat(texts(headers)).doesNotContainKey("traceparent");
  }

  @ParameterizedTest
  @CsvSource({
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01, true",
    "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01, true",
    "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-later, true",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-later, false",
    "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01, false",
    "00-00000000000000000000000000000000-00f067aa0ba902b7-01, false",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01, false",
    "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01, false",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7, false",
    "'', false",
  })
  void traceContextIsWhatTheSpecificationSays(String text, boolean valid) {
    assertThat(EventHeaders.isTraceparent(text)).isEqualTo(valid);
  }

  private static Map<String, String> texts(EventHeaders headers) {
    return headers.toMap().entrySet().stream()
        .collect(
            Collectors.toMap(
                Map.Entry::getKey, e -> new String(e.getValue(), StandardCharsets.UTF_8)));
  }
}
