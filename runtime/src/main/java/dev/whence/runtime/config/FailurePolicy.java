package dev.whence.runtime.config;

import java.time.Duration;

/**
 * When something is whose fault.
 *
 * @param attempts a record that was begun so often without an end goes to the dead letter queue
 * @param modelFailures so many different records in a row failing in the model are the fault of the
 *     environment
 * @param undecidedFor how long a failing record waits for another one that shows whether the model
 *     works at all; as long again after each other one on which it fails, too
 * @param hangFactor model work may take so many times what was predicted
 * @param hangAtLeast ... but always this long
 * @param loadTimeout loading a model may take so long
 * @param backoffFirst pause after the first failure of the environment; doubles up to {@code
 *     backoffMost}
 * @param backoffMost longest pause
 */
public record FailurePolicy(
    int attempts,
    int modelFailures,
    Duration undecidedFor,
    double hangFactor,
    Duration hangAtLeast,
    Duration loadTimeout,
    Duration backoffFirst,
    Duration backoffMost) {
  public static final FailurePolicy DEFAULT =
      new FailurePolicy(
          3,
          5,
          Duration.ofSeconds(2),
          10,
          Duration.ofSeconds(60),
          Duration.ofMinutes(15),
          Duration.ofSeconds(1),
          Duration.ofSeconds(30));

  /** How long model work may take before it counts as hanging. */
  public Duration allowed(Duration predicted) {
    Duration most = Duration.ofNanos((long) (predicted.toNanos() * hangFactor));
    return most.compareTo(hangAtLeast) > 0 ? most : hangAtLeast;
  }

  static FailurePolicy read(Settings settings) {
    Duration millisecond = Duration.ofMillis(1);
    Duration hour = Duration.ofHours(1);
    return new FailurePolicy(
        settings.integer("failure.attempts", DEFAULT.attempts, 2, 100),
        settings.integer("failure.model-failures", DEFAULT.modelFailures, 2, 1000),
        settings.duration("failure.undecided-for", DEFAULT.undecidedFor, millisecond, hour),
        settings.number("hang.factor", DEFAULT.hangFactor, 1, 1e6),
        settings.duration("hang.at-least", DEFAULT.hangAtLeast, millisecond, Duration.ofDays(1)),
        settings.duration("models.load-timeout", DEFAULT.loadTimeout, millisecond, hour),
        settings.duration("backoff.first", DEFAULT.backoffFirst, millisecond, hour),
        settings.duration("backoff.most", DEFAULT.backoffMost, millisecond, hour));
  }
}
