package dev.whence.runtime.config;

import java.time.Duration;

/**
 * A batch closes at the first of these.
 *
 * @param records most records
 * @param bytes most bytes of keys and values
 * @param modelTime most predicted model time; a record that alone is predicted to take longer runs
 *     alone
 */
public record BatchLimits(int records, long bytes, Duration modelTime) {
  public static final BatchLimits DEFAULT = new BatchLimits(64, 32L << 20, Duration.ofSeconds(2));

  static BatchLimits read(Settings settings) {
    return new BatchLimits(
        settings.integer("batch.max-records", DEFAULT.records, 1, 100_000),
        settings.bytes("batch.max-bytes", DEFAULT.bytes, 1, 1L << 30),
        settings.duration(
            "batch.max-model-time",
            DEFAULT.modelTime,
            Duration.ofMillis(1),
            Duration.ofMinutes(10)));
  }
}
