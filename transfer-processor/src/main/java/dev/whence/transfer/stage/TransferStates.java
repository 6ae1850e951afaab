package dev.whence.transfer.stage;

import dev.whence.schemas.avro.TransferEvent;
import dev.whence.schemas.avro.TransferState;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * What is true of every transfer, by the events read so far. A request for a transfer that was
 * requested before changes nothing, unless that one had failed or was rejected by then: limits,
 * sets and judge are the processor's and may be others now. A transfer that has ended runs again
 * only after a STARTED: that it came further is nobody's word any more. The topic is read again
 * from the last request that was taken, so events come here twice: the offset says what is older.
 */
final class TransferStates {
  private static final Set<TransferState> TERMINAL =
      EnumSet.of(TransferState.PUBLISHED, TransferState.REJECTED, TransferState.FAILED);

  /** Ends that a request may follow. */
  private static final Set<TransferState> WITHOUT_RESULT =
      EnumSet.of(TransferState.REJECTED, TransferState.FAILED);

  private final Map<String, Placed> states = new HashMap<>();
  private final Map<String, Long> withdrawn = new HashMap<>();

  /**
   * The last event that counts, and, for a request, the failure or rejection that it follows.
   *
   * @param first where it is: a request after that came after it
   * @param last where it was told again last: a tombstone before that does not take it away
   */
  private record Placed(
      long first, long last, TransferEvent event, Optional<TransferEvent> followed) {
    static Placed at(long offset, TransferEvent event) {
      return new Placed(offset, offset, event, Optional.empty());
    }

    Placed toldAgain(long offset) {
      return new Placed(first, offset, event, followed);
    }

    /** What a tombstone leaves of it: only what was told after that. */
    Placed keptLast() {
      return new Placed(last, last, event, followed);
    }
  }

  /** Takes an event at its place. */
  void apply(long offset, TransferEvent event) {
    Placed known = states.get(event.getTransferId());
    if (withdrawn.getOrDefault(event.getTransferId(), -1L) > offset) {
      return; // what was withdrawn does not come back by being read again
    }
    if (known == null) {
      states.put(event.getTransferId(), Placed.at(offset, event));
    } else if (event.getState() == TransferState.REQUESTED) {
      // By the first place: an end may have been told again after a request that follows it.
      if (known.first() < offset && WITHOUT_RESULT.contains(known.event().getState())) {
        states.put(
            event.getTransferId(), new Placed(offset, offset, event, Optional.of(known.event())));
      }
    } else if (known.last() >= offset) {
      return; // read back after later ones
    } else if (isTerminal(known.event().getState())
        && (event.getState() == TransferState.PROGRESS
            || event.getState() == TransferState.GATED)) {
      return; // of a process that did not know that another one had ended the transfer
    } else if (known.event().equals(event)) {
      states.put(event.getTransferId(), known.toldAgain(offset));
    } else if (known.followed().filter(event::equals).isEmpty()) {
      states.put(event.getTransferId(), Placed.at(offset, event));
    }
  }

  /** Takes an event that was just written, at the place that it got. */
  void written(long offset, TransferEvent event) {
    apply(offset, event);
  }

  /** Takes a tombstone: what was before it counts no more, what came after it stays. */
  void withdrawn(long offset, String transferId) {
    withdrawn.merge(transferId, offset, Math::max);
    Placed known = states.get(transferId);
    if (known != null && known.last() < offset) {
      states.remove(transferId);
    } else if (known != null && known.first() < offset) {
      states.put(transferId, known.keptLast());
    }
  }

  /**
   * Whether the request at an offset is the one that counts: the first that comes. With it a
   * STARTED is written, so where an earlier one is all that is known, that one never came:
   * compaction removed it between the reading of all there is and the reading of what is next.
   */
  boolean isNew(long offset, TransferEvent request) {
    Placed known = states.get(request.getTransferId());
    return known != null
        && known.first() <= offset
        && known.event().getState() == TransferState.REQUESTED;
  }

  Optional<TransferEvent> find(String transferId) {
    return Optional.ofNullable(states.get(transferId)).map(Placed::event);
  }

  /** Transfers whose last event is that they published a model. */
  List<TransferEvent> publishedAs(String modelId) {
    return states.values().stream()
        .map(Placed::event)
        .filter(event -> event.getState() == TransferState.PUBLISHED)
        .filter(event -> event.getModelId().equals(modelId))
        .toList();
  }

  /** Transfers that were started and have not ended, the oldest first. */
  List<TransferEvent> unfinished() {
    return states.values().stream()
        .filter(placed -> placed.event().getState() != TransferState.REQUESTED)
        .filter(placed -> !TERMINAL.contains(placed.event().getState()))
        .sorted(Comparator.comparingLong(Placed::first))
        .map(Placed::event)
        .toList();
  }

  /** How far a state is on the way, from 0. */
  static int step(TransferState state) {
    return switch (state) {
      case UNKNOWN, REQUESTED -> 0;
      case STARTED -> 1;
      case PROGRESS -> 2;
      case GATED -> 3;
      case PUBLISHED, REJECTED, FAILED -> 4;
    };
  }

  static boolean isTerminal(TransferState state) {
    return TERMINAL.contains(state);
  }
}
