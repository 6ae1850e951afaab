package dev.whence.runtime.worker;

import java.time.Duration;

/** A record that was read and waits for its turn on the model. */
public interface Work {
  /** Predicted model time; zero says that the model is not needed. */
  Duration predicted();

  /**
   * Does the work.
   *
   * @throws EnvironmentException if it failed for a reason outside the record
   */
  Outcome run();

  /** Work that is already done, without the model. */
  static Work done(Outcome outcome) {
    return new Work() {
      @Override
      public Duration predicted() {
        return Duration.ZERO;
      }

      @Override
      public Outcome run() {
        return outcome;
      }
    };
  }
}
