package dev.whence.runtime.worker;

import dev.whence.runtime.dlq.DeadLetters;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

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
  Finished written(SourceRecord record, int attempt, List<Result> results, long modelNanos) {
    List<Result> fitting = new ArrayList<>(results.size());
    for (Result result : results) {
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
    return new Finished(record, fitting, Optional.empty(), false, modelNanos);
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

  private Finished givenUp(
      SourceRecord record,
      int attempt,
      Failure failure,
      boolean undecided,
      long modelNanos,
      List<Result> results) {
    List<Result> fitting = new ArrayList<>();
    for (Result result : results) {
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
    return new Finished(
        record,
        fitting,
        Optional.of(
            new Finished.DeadLetter(
                failure.code(), letter.key(), letter.value(), letter.headers())),
        undecided,
        modelNanos);
  }

  private Optional<Result> shrunk(Result result) {
    Optional<Result> next = Optional.of(result);
    while (next.isPresent() && !sizes.fits(next.get())) {
      next = next.get().shrink().smaller();
    }
    return next;
  }
}
