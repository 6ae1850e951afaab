package dev.whence.runtime.worker;

import java.util.List;

/** How the processing of one record ended. */
public sealed interface Outcome {

  /**
   * It is done.
   *
   * @param results to write, in order; may be empty
   * @param whenCommitted is run once the results are committed, and only then: a record may be run
   *     several times before. For what is counted; on the thread that commits
   */
  record Written(List<Result> results, Runnable whenCommitted) implements Outcome {
    public Written {
      results = List.copyOf(results);
    }

    /** Results that nothing else is to follow from. */
    public Written(List<Result> results) {
      this(results, () -> {});
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
