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
    return done(outcome, () -> {});
  }

  /**
   * The same, with something to do when it is the record's turn. A record may be prepared several
   * times, if its batch is closed before its turn, so what counts records does not belong into
   * {@link Stage#prepare}.
   *
   * @param atItsTurn is run by {@link #run}
   */
  static Work done(Outcome outcome, Runnable atItsTurn) {
    return new Work() {
      @Override
      public Duration predicted() {
        return Duration.ZERO;
      }

      @Override
      public Outcome run() {
        atItsTurn.run();
        return outcome;
      }
    };
  }
}
