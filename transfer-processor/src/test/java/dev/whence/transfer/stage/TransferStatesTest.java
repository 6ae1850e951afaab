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
  void aRequestMadeDuringARunThatFailedIsNotCarriedOutAgain() {
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
  void whatWasRejectedIsMeasuredAgainWhenItIsAskedForAgain() {
    TransferEvent rejected = event(TransferState.REJECTED, 20);
    assertThat(isTaken(10)).isTrue();
    states.written(11, event(TransferState.STARTED, 11));
    states.written(20, rejected);
    assertThat(isTaken(12)).isFalse(); // made during the run
    states.written(22, rejected); // the answer to it
    assertThat(isTaken(21)).isTrue();
    states.apply(22, rejected);
    assertThat(isTaken(21)).isTrue();
    states.written(23, event(TransferState.STARTED, 23));
    states.written(30, event(TransferState.PUBLISHED, 30));
    assertThat(isTaken(31)).isFalse();
    assertThat(state()).isEqualTo(TransferState.PUBLISHED);
  }

  @Test
  void aRequestAfterTheFailureCountsAlthoughTheFailureWasToldAgainAfterIt() {
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
  void aSuccessorThatReadsItAllComesToTheSameResult() {
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
  void aRequestWhoseFirstCopyWasCompactedAwayBeforeItCameIsCarriedOutByItsSecond() {
    TransferEvent request = event(TransferState.REQUESTED, 10);
    states.apply(10, request); // to recover
    states.apply(14, request);
    // The first one is gone when the topic is read on from the committed offset.
    states.apply(14, request);
    assertThat(states.isNew(14, request)).isTrue();
    states.written(15, event(TransferState.STARTED, 15));
    assertThat(isTaken(16)).isFalse();
    assertThat(state()).isEqualTo(TransferState.STARTED);
  }

  @Test
  void ofTwoCopiesThatBothComeTheFirstIsCarriedOut() {
    TransferEvent request = event(TransferState.REQUESTED, 10);
    states.apply(10, request); // to recover
    states.apply(14, request);
    states.apply(10, request);
    assertThat(states.isNew(10, request)).isTrue();
    states.written(15, event(TransferState.STARTED, 15));
    states.apply(14, request);
    assertThat(states.isNew(14, request)).isFalse();
    assertThat(state()).isEqualTo(TransferState.STARTED);
  }

  @Test
  void whatAnotherProcessSaysOfATransferThatHasEndedChangesNothing() {
    assertThat(isTaken(10)).isTrue();
    states.written(11, event(TransferState.STARTED, 11));
    states.written(20, event(TransferState.PUBLISHED, 20));
    states.apply(21, event(TransferState.PROGRESS, 21));
    states.apply(22, event(TransferState.GATED, 22));
    assertThat(state()).isEqualTo(TransferState.PUBLISHED);
    assertThat(states.unfinished()).isEmpty();

    assertThat(isTaken(23)).isFalse(); // but its release was withdrawn, so it is carried out again
    states.written(24, event(TransferState.STARTED, 24));
    states.written(25, event(TransferState.PROGRESS, 25));
    assertThat(state()).isEqualTo(TransferState.PROGRESS);
    assertThat(states.unfinished()).hasSize(1);
  }

  @Test
  void aTombstoneThatIsReadAgainTakesNothingBackThatCameAfterIt() {
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
  void whatATombstoneTookDoesNotComeBackByBeingReadAgain() {
    states.apply(11, event(TransferState.PUBLISHED, 11));
    states.withdrawn(12, "t");
    assertThat(isTaken(10)).isFalse();
    states.apply(11, event(TransferState.PUBLISHED, 11));
    assertThat(states.find("t")).isEmpty();
  }

  @Test
  void whatWasToldAgainAfterATombstoneStaysInMemoryAsInTheTopic() {
    TransferEvent published = event(TransferState.PUBLISHED, 11);
    states.apply(10, event(TransferState.REQUESTED, 10));
    states.written(11, published);
    assertThat(isTaken(12)).isFalse();
    states.written(14, published); // the answer to the one at 12; the tombstone came before it
    states.withdrawn(13, "t");
    states.apply(14, published);
    assertThat(states.find("t")).contains(published);

    TransferStates successor = new TransferStates();
    successor.apply(10, event(TransferState.REQUESTED, 10));
    successor.apply(11, published);
    successor.apply(12, event(TransferState.REQUESTED, 12));
    successor.withdrawn(13, "t");
    successor.apply(14, published);
    assertThat(successor.find("t")).isEqualTo(states.find("t"));

    states.withdrawn(15, "t"); // and one after it takes it away
    assertThat(states.find("t")).isEmpty();
    assertThat(isTaken(16)).isTrue();
  }

  @Test
  void aRequestBetweenATombstoneAndTheFailureThatIsToldAgainIsSeenAlikeByAll() {
    TransferEvent failed = event(TransferState.FAILED, 20);
    states.apply(11, event(TransferState.STARTED, 11));
    states.written(20, failed);
    assertThat(isTaken(12)).isFalse();
    states.written(23, failed); // the answer to the one at 12
    states.withdrawn(21, "t");
    assertThat(isTaken(22)).isFalse();

    TransferStates successor = new TransferStates();
    successor.apply(11, event(TransferState.STARTED, 11));
    successor.apply(12, event(TransferState.REQUESTED, 12));
    successor.apply(20, failed);
    successor.withdrawn(21, "t");
    successor.apply(22, event(TransferState.REQUESTED, 22));
    successor.apply(23, failed);
    assertThat(successor.isNew(22, event(TransferState.REQUESTED, 22))).isFalse();
    assertThat(successor.find("t")).isEqualTo(states.find("t"));
  }
}
