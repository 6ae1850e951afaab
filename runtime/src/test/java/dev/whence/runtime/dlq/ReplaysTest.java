package dev.whence.runtime.dlq;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.runtime.worker.EventHeader;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ReplaysTest {
  @Test
  void eachReplayCountsOneMoreAndLeavesOtherHeadersAlone() {
    List<EventHeader> headers = List.of(EventHeader.of("traceparent", "t"));
    assertThat(Replays.of(headers)).isZero();
    List<EventHeader> once = Replays.oneMore(headers);
    assertThat(Replays.of(once)).isEqualTo(1);
    List<EventHeader> twice = Replays.oneMore(once);
    assertThat(Replays.of(twice)).isEqualTo(2);
    assertThat(twice)
        .extracting(EventHeader::name)
        .containsExactly("traceparent", "whence.replays");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "-1", "many", "99999999999999999999", "1.5"})
  void whatIsNoNumberCountsAsNever(String text) {
    assertThat(Replays.of(List.of(EventHeader.of(Replays.HEADER, text)))).isZero();
  }

  @Test
  void aNumberThatNobodyReachesIsCutOff() {
    List<EventHeader> headers = List.of(EventHeader.of(Replays.HEADER, "9999999"));
    assertThat(Replays.of(headers)).isEqualTo(1_000_000);
    assertThat(Replays.of(Replays.oneMore(headers))).isEqualTo(1_000_000);
  }
}
