package dev.whence.runtime.worker;

import dev.whence.runtime.dlq.DeadLetterHeaders;
import dev.whence.runtime.dlq.DeadLetters;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/** Turns what a stage says into records that are known to fit, on the model thread. */
final class Finisher {
  private final Stage stage;
  private final String deadLetterTopic;
  private final RecordSizes sizes;

  Finisher(Stage stage, String deadLetterTopic, RecordSizes sizes) {
    this.stage = stage;
    this.deadLetterTopic = deadLetterTopic;
    this.sizes = sizes;
  }

  /** Results as they are, or as small as they must be; too large even so: the record has failed. */
  Finished written(SourceRecord record, int attempt, Outcome.Written written, long modelNanos) {
    List<Result> fitting = new ArrayList<>(written.results().size());
    for (Result result : written.results()) {
      Optional<Result> fits = shrunk(result);
      if (fits.isEmpty()) {
        return failed(
            record,
            attempt,
            new Failure(
                "RESULT_TOO_LARGE",
                "the result has "
                    + result.value().length
                    + " bytes and can not be made to fit into "
                    + result.topic()
                    + ", which takes "
                    + sizes.limit(result.topic())
                    + " bytes"),
            false,
            modelNanos);
      }
      fitting.add(fits.get());
    }
    return new Finished(
        record, fitting, Optional.empty(), false, modelNanos, written.whenCommitted());
  }

  /** What is written for a record that is given up. */
  Finished failed(
      SourceRecord record, int attempt, Failure failure, boolean undecided, long modelNanos) {
    return givenUp(record, attempt, failure, undecided, modelNanos, stage.failed(record, failure));
  }

  /** What is written for a record on which too many processes died; its value is read once more. */
  Finished exhausted(SourceRecord record, int attempt, Failure failure) {
    return givenUp(record, attempt, failure, false, 0, stage.exhausted(record, failure));
  }

  /** What is written for a record whose value was never read; it stands in its source topic. */
  Finished unread(SourceRecord record, int attempt, BatchRun.Unread unread) {
    Failure failure = unread.failure();
    return givenUp(
        record,
        attempt,
        failure,
        /* undecided= */ false,
        /* modelNanos= */ 0,
        stage.failed(record, failure),
        OptionalLong.of(unread.bytes()));
  }

  private Finished givenUp(
      SourceRecord record,
      int attempt,
      Failure failure,
      boolean undecided,
      long modelNanos,
      Outcome.Written said) {
    return givenUp(record, attempt, failure, undecided, modelNanos, said, OptionalLong.empty());
  }

  private Finished givenUp(
      SourceRecord record,
      int attempt,
      Failure failure,
      boolean undecided,
      long modelNanos,
      Outcome.Written said,
      OptionalLong unreadBytes) {
    List<Result> fitting = new ArrayList<>();
    for (Result result : said.results()) {
      fitting.add(
          shrunk(result)
              .orElseThrow(
                  () ->
                      new IllegalStateException(
                          "the event that says that a record failed does not fit into "
                              + result.topic())));
    }
    DeadLetters.Letter letter =
        DeadLetters.fitting(
            record,
            failure,
            attempt,
            stage.name(),
            (key, value, headers) -> sizes.fitsCompressed(deadLetterTopic, key, value, headers));
    List<EventHeader> headers = new ArrayList<>(letter.headers());
    if (unreadBytes.isPresent()) {
      headers.add(
          EventHeader.of(DeadLetterHeaders.OMITTED_BYTES, Long.toString(unreadBytes.getAsLong())));
    }
    return new Finished(
        record,
        fitting,
        Optional.of(new Finished.DeadLetter(failure.code(), letter.key(), letter.value(), headers)),
        undecided,
        modelNanos,
        said.whenCommitted());
  }

  private Optional<Result> shrunk(Result result) {
    Optional<Result> next = Optional.of(result);
    while (next.isPresent() && !sizes.fits(next.get())) {
      next = next.get().shrink().smaller();
    }
    return next;
  }
}
