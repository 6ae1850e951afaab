package dev.whence.attribution.stage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.EventWriter;
import dev.whence.runtime.worker.Result;
import dev.whence.schemas.Topic;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.Attribution;
import dev.whence.schemas.avro.LeftOutSource;
import dev.whence.schemas.avro.LlmResponse;
import dev.whence.schemas.avro.SourceScore;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EscalationsTest {
  private static final Topic TOPIC = new Topics("").escalations();
  private static final Topic ATTRIBUTIONS = new Topics("").attributions();

  @TempDir private Path directory = Path.of("");

  private RegisteredValues registered;
  private AvroValues values;

  @BeforeEach
  void open() throws Exception {
    registered = new RegisteredValues(directory, TOPIC, ATTRIBUTIONS);
    values = registered.values;
  }

  @AfterEach
  void close() throws Exception {
    registered.close();
  }

  private Optional<Result> escalation(int largestMessageBytes, int sources) {
    return escalation(
        largestMessageBytes,
        Attribution.newBuilder()
            .setResponseId("r-1")
            .setSources(
                Collections.nCopies(
                    sources, SourceScore.newBuilder().setSegment("s".repeat(100)).build()))
            .build());
  }

  private Optional<Result> escalation(int largestMessageBytes, Attribution fast) {
    Escalations escalations =
        new Escalations(
            new EventWriter(values, "attribution-fast", "i"),
            TOPIC.name(),
            () -> largestMessageBytes,
            () -> 12);
    escalations.open();
    return escalations.of(
        LlmResponse.newBuilder().setResponseId("r-1").setResponse("a".repeat(100_000)).build(),
        fast,
        "fast",
        new FastPath.Escalated("SHADOW", false, List.of(), Map.of(), false, OptionalDouble.empty()),
        Duration.ofMinutes(1));
  }

  @Test
  void whatTheTopicOfTheBrokersTakesIsHandedOn() {
    assertThat(escalation(TOPIC.maxMessageBytes(), 3)).isPresent();
    assertThat(escalation(200_000, 3)).isPresent();
  }

  @Test
  void sourcesAreDroppedUntilItFits() {
    Result result = escalation(200_000, 1000).orElseThrow();
    assertThat(result.value()).hasSizeBetween(100_000, 200_000 - (64 << 10));
  }

  /** Written out, these names have 600 MB; nobody has to hold that to see that it does not fit. */
  @Test
  void anEventWhoseNamesAloneAreMoreThanAnyTopicTakesIsNeverWrittenOutAsItIs() {
    String longName = "s".repeat(1024);
    Attribution windowed =
        Attribution.newBuilder()
            .setResponseId("r-1")
            .setSources(
                Collections.nCopies(100_000, SourceScore.newBuilder().setSegment(longName).build()))
            .setLeftOut(
                Collections.nCopies(
                    500_000, LeftOutSource.newBuilder().setSegment(longName).build()))
            .build();
    Attribution writable = AttributionEvents.writable(windowed);
    assertThat(writable.getTruncated()).isTrue();
    assertThat(writable.getSources()).hasSize(AttributionEvents.KEPT_SOURCES);
    assertThat(writable.getLeftOut()).isEmpty();

    AttributionEvents events =
        new AttributionEvents(
            new EventWriter(values, "attribution-fast", "i"), ATTRIBUTIONS.name(), false, false);
    assertThat(events.write(windowed).value()).hasSizeLessThan(1 << 20);
    assertThat(events.writeSurely(windowed).value()).hasSizeLessThan(1 << 20);
    assertThat(escalation(TOPIC.maxMessageBytes(), windowed).orElseThrow().value())
        .hasSizeLessThan(1 << 20);
    Attribution usual =
        Attribution.newBuilder(windowed)
            .setLeftOut(List.of())
            .setSources(windowed.getSources().subList(0, 1000))
            .build();
    assertThat(AttributionEvents.writable(usual)).isSameAs(usual);
  }

  @Test
  void aTopicThatTakesLessThanItsCatalogueSaysGetsNothingThatItWouldRefuse() {
    assertThat(escalation(150_000, 3)).isEmpty();
  }
}
