package dev.whence.ingest;

import java.nio.file.Path;
import java.time.Duration;

/**
 * What to replay, and how.
 *
 * @param input file of JSON Lines, or the same compressed with gzip
 * @param ratePerSecond most lines sent in a second; 0: as fast as Kafka takes them
 * @param fromStart whether to begin at the first line whatever an earlier run has done
 * @param patience how long nothing may be acknowledged before the replay is given up
 * @param markFile where an earlier run left its mark, and this one leaves its own
 */
public record ReplayOptions(
    Path input, double ratePerSecond, boolean fromStart, Duration patience, Path markFile) {
  private static final double MIN_RATE = 0.001;
  private static final double MAX_RATE = 1e6;

  public ReplayOptions {
    if (ratePerSecond != 0 && !(ratePerSecond >= MIN_RATE && ratePerSecond <= MAX_RATE)) {
      throw new IllegalArgumentException(
          "the rate, "
              + ratePerSecond
              + " lines per second, must be 0 (no bound) or from "
              + MIN_RATE
              + " to "
              + MAX_RATE);
    }
    if (patience.isNegative() || patience.isZero()) {
      throw new IllegalArgumentException("the patience, " + patience + ", must be above zero");
    }
  }

  /** With the mark beside the input. */
  public ReplayOptions(Path input, double ratePerSecond, boolean fromStart, Duration patience) {
    this(input, ratePerSecond, fromStart, patience, beside(input));
  }

  /** As fast as possible, resuming where an earlier run stopped, giving up after a minute. */
  public static ReplayOptions of(Path input) {
    return new ReplayOptions(input, 0, false, Duration.ofMinutes(1));
  }

  private static Path beside(Path input) {
    return input.resolveSibling(input.getFileName() + ".whence-progress");
  }
}
