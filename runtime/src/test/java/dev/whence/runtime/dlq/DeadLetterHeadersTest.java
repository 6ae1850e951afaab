package dev.whence.runtime.dlq;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.runtime.worker.EventHeader;
import dev.whence.runtime.worker.Failure;
import dev.whence.runtime.worker.SourceRecord;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class DeadLetterHeadersTest {
  private static final SourceRecord SOURCE =
      new SourceRecord(
          "t",
          1,
          2,
          3,
          null,
          null,
          List.of(
              EventHeader.of("traceparent", "00-1"),
              EventHeader.of(DeadLetterHeaders.CODE, "OF_AN_EARLIER_TIME")));

  @Test
  void oursTakeAtMost8KiBAndAreCutAtACharacter() {
    Failure failure = new Failure("C".repeat(10_000), "ä€😀".repeat(5_000), "E".repeat(10_000));
    List<EventHeader> headers = DeadLetterHeaders.of(SOURCE, failure, 1, "stage");
    int bytes =
        headers.stream()
            .filter(header -> header.name().startsWith(DeadLetterHeaders.PREFIX))
            .mapToInt(header -> header.name().length() + header.value().length)
            .sum();
    assertThat(bytes).isLessThanOrEqualTo(8192);
    assertThat(headers)
        .filteredOn(header -> header.name().equals(DeadLetterHeaders.MESSAGE))
        .singleElement()
        .satisfies(header -> assertThat(header.text()).doesNotContain("\uFFFD"));
  }

  @Test
  void sourceHeadersAreKeptAndThoseOfAnEarlierFailureReplaced() {
    List<EventHeader> headers = DeadLetterHeaders.of(SOURCE, new Failure("NEW", "new"), 2, "stage");
    assertThat(headers).filteredOn(h -> h.name().equals("traceparent")).hasSize(1);
    assertThat(headers)
        .filteredOn(h -> h.name().equals(DeadLetterHeaders.CODE))
        .extracting(EventHeader::text)
        .containsExactly("NEW");
  }

  @Test
  void aRecordIsNamedByAKeyThatIsReadableElseByItsPlace() {
    assertThat(id("r-1".getBytes(StandardCharsets.UTF_8))).isEqualTo("r-1");
    assertThat(id("ä".repeat(256).getBytes(StandardCharsets.UTF_8))).hasSize(256);
    assertThat(id("ä".repeat(257).getBytes(StandardCharsets.UTF_8))).isEqualTo("t-1-2");
    assertThat(id(new byte[] {(byte) 0xC3})).isEqualTo("t-1-2");
    assertThat(id(new byte[0])).isEqualTo("t-1-2");
    assertThat(id(null)).isEqualTo("t-1-2");
  }

  private static String id(byte[] key) {
    return new SourceRecord("t", 1, 2, 3, key, null, List.of()).idWithoutValue();
  }

  @Test
  void aSourceRecordCanNotSayThatDeadLettersWereReplayed() {
    SourceRecord hostile =
        new SourceRecord(
            "t",
            1,
            2,
            3,
            null,
            null,
            List.of(EventHeader.of(DeadLetterHeaders.REPLAYED, "0-999999")));
    List<EventHeader> headers = DeadLetterHeaders.of(hostile, new Failure("C", "m"), 1, "stage");
    assertThat(headers).extracting(EventHeader::name).doesNotContain(DeadLetterHeaders.REPLAYED);
    List<EventHeader> both = new ArrayList<>(headers);
    both.add(0, EventHeader.of(DeadLetterHeaders.REPLAYED, "0-999999"));
    assertThat(DeadLetterHeaders.replayed(both)).isEmpty();
  }
}
