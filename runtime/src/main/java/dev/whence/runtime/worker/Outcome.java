package dev.whence.runtime.worker;

import java.util.List;

/** How the processing of one record ended. */
public sealed interface Outcome {

  /**
   * It is done.
   *
   * @param results to write, in order; may be empty
   */
  record Written(List<Result> results) implements Outcome {
    public Written {
      results = List.copyOf(results);
    }
  }

  /**
   * The record itself is wrong, and always will be: it goes to the dead letter queue.
   *
   * @param failure why
   */
  record Rejected(Failure failure) implements Outcome {}

  /**
   * The model failed on this record. If it works for other records, this one goes to the dead
   * letter queue; if it fails for them too, it is the environment that is broken.
   *
   * @param failure why
   */
  record ModelFailed(Failure failure) implements Outcome {}
}
