package dev.whence.runtime.worker;

import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A record that has its results, serialised and known to fit.
 *
 * @param record the source record
 * @param results to write
 * @param deadLetter to write too, where the record is given up
 * @param undecided whether the model failed on it and nothing yet showed that the model works
 * @param modelNanos time the model took
 * @param whenCommitted what is counted then
 */
record Finished(
    SourceRecord record,
    List<Result> results,
    Optional<DeadLetter> deadLetter,
    boolean undecided,
    long modelNanos,
    Runnable whenCommitted) {

  /** Whether the model has worked on it. */
  boolean showsThatTheModelWorks() {
    return modelNanos > 0 && deadLetter.isEmpty();
  }

  Finished decided() {
    return new Finished(record, results, deadLetter, false, modelNanos, whenCommitted);
  }

  /**
   * A record for a dead letter queue.
   *
   * @param code why, for metrics and logs
   * @param key as in the source
   * @param value as in the source, or null if it did not fit
   * @param headers of the source, and why
   */
  @SuppressWarnings("ArrayRecordComponent") // bytes as Kafka has them; never compared
  record DeadLetter(
      String code, byte @Nullable [] key, byte @Nullable [] value, List<EventHeader> headers) {}
}
