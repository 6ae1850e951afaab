package dev.whence.transfer.stage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.schemas.avro.TransferEvent;
import dev.whence.schemas.avro.TransferState;
import java.time.Instant;
import org.junit.jupiter.api.Test;

class TransferStatesTest {
  private final TransferStates states = new TransferStates();

  private static TransferEvent event(TransferState state, long second) {
    return TransferEvent.newBuilder()
        .setTransferId("t")
        .setState(state)
        .setOccurredAt(Instant.ofEpochSecond(second))
        .build();
  }

  private boolean isTaken(long offset) {
    TransferEvent request = event(TransferState.REQUESTED, offset);
    states.apply(offset, request);
    return states.isNew(offset, request);
  }

  private TransferState state() {
    return states.find("t").orElseThrow().getState();
  }

  @Test
  void a_request_made_during_a_run_that_failed_is_not_carried_out_again() {
    assertThat(isTaken(10)).isTrue();
    states.written(11, event(TransferState.STARTED, 11));
    states.written(20, event(TransferState.FAILED, 20));
    // What was read during the run comes now.
    states.apply(11, event(TransferState.STARTED, 11));
    assertThat(isTaken(12)).isFalse();
    states.apply(20, event(TransferState.FAILED, 20));
    assertThat(state()).isEqualTo(TransferState.FAILED);
    assertThat(isTaken(21)).isTrue();
  }

  @Test
  void a_request_after_the_failure_counts_although_the_failure_was_told_again_after_it() {
    TransferEvent failed = event(TransferState.FAILED, 20);
    assertThat(isTaken(10)).isTrue();
    states.written(11, event(TransferState.STARTED, 11));
    states.written(20, failed);
    assertThat(isTaken(12)).isFalse();
    states.written(22, failed); // the answer to the one at 12
    assertThat(isTaken(21)).isTrue();
    states.written(23, event(TransferState.STARTED, 23));
    states.apply(22, failed);
    assertThat(state()).isEqualTo(TransferState.STARTED);
  }

  @Test
  void a_successor_that_reads_it_all_comes_to_the_same_result() {
    TransferEvent failed = event(TransferState.FAILED, 20);
    for (int i = 0; i < 2; i++) { // to recover, and from the committed offset on
      states.apply(10, event(TransferState.REQUESTED, 10));
      states.apply(11, event(TransferState.STARTED, 11));
      states.apply(12, event(TransferState.REQUESTED, 12));
      states.apply(20, failed);
      states.apply(21, event(TransferState.REQUESTED, 21));
      states.apply(22, failed);
    }
    assertThat(states.isNew(21, event(TransferState.REQUESTED, 21))).isTrue();
    assertThat(states.isNew(12, event(TransferState.REQUESTED, 12))).isFalse();
    assertThat(states.unfinished()).isEmpty();
  }

  @Test
  void a_tombstone_that_is_read_again_takes_nothing_back_that_came_after_it() {
    assertThat(isTaken(10)).isTrue();
    states.written(11, event(TransferState.PUBLISHED, 11));
    states.withdrawn(12, "t");
    assertThat(states.find("t")).isEmpty();
    assertThat(isTaken(13)).isTrue();
    states.written(14, event(TransferState.PUBLISHED, 14));
    // What was read before is read again.
    assertThat(isTaken(10)).isFalse();
    states.apply(11, event(TransferState.PUBLISHED, 11));
    states.withdrawn(12, "t");
    assertThat(isTaken(13)).isFalse();
    assertThat(states.find("t").orElseThrow().getOccurredAt()).isEqualTo(Instant.ofEpochSecond(14));
  }

  @Test
  void what_a_tombstone_took_does_not_come_back_by_being_read_again() {
    states.apply(11, event(TransferState.PUBLISHED, 11));
    states.withdrawn(12, "t");
    assertThat(isTaken(10)).isFalse();
    states.apply(11, event(TransferState.PUBLISHED, 11));
    assertThat(states.find("t")).isEmpty();
  }
}
