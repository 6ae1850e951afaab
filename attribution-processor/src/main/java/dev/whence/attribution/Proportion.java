package dev.whence.attribution;

import java.util.Locale;

/**
 * How often something was so, with the 95 % interval of Wilson (1927): the shares p for which the
 * one that was seen, h, lies within z standard deviations, (h - p)^2 <= z^2 p (1 - p) / n. It keeps
 * within 0 and 1, and says something where nothing or everything was so.
 *
 * @param hits how often it was so
 * @param of how often it could have been
 * @param share hits / of; 0 where {@code of} is 0
 * @param low least share that the hits speak for; 0 where {@code of} is 0
 * @param high and the largest; 1 where {@code of} is 0
 */
public record Proportion(int hits, int of, double share, double low, double high) {
  /** 97.5th percentile of the standard normal distribution. */
  public static final double Z = 1.959963984540054;

  /**
   * The share and its interval.
   *
   * @throws IllegalArgumentException unless 0 <= hits <= of
   */
  public static Proportion of(int hits, int of) {
    if (hits < 0 || hits > of) {
      throw new IllegalArgumentException(hits + " hits of " + of);
    }
    if (of == 0) {
      return new Proportion(0, 0, 0, 0, 1);
    }
    double share = (double) hits / of;
    double square = Z * Z / of;
    double middle = (share + square / 2) / (1 + square);
    double half = Z / (1 + square) * Math.sqrt(share * (1 - share) / of + square / (4 * of));
    double low = hits == 0 ? 0 : Math.max(0, middle - half);
    double high = hits == of ? 1 : Math.min(1, middle + half);
    return new Proportion(hits, of, share, low, high);
  }

  /** "93.5 % (89.2 to 96.2; 187 of 200)". */
  public String text() {
    return of == 0
        ? "none to count"
        : String.format(
            Locale.ROOT,
            "%.1f %% (%.1f to %.1f; %d of %d)",
            100 * share,
            100 * low,
            100 * high,
            hits,
            of);
  }
}
