package dev.whence.influence.query;

import java.util.OptionalDouble;
import java.util.function.LongSupplier;

/**
 * Time for gradients of documents, counted in tokens: what a document costs is known before, its
 * tokens are in the index, and how long a token takes is learnt while documents are run. A document
 * that would not be done in time is not begun. One thread uses it.
 */
public final class RankingBudget {
  private final LongSupplier nanoTime;
  private final long begun;
  private final double seconds;
  private final double firstSecondsPerToken;
  private long tokens;
  private double spent;

  private RankingBudget(LongSupplier nanoTime, double seconds, double firstSecondsPerToken) {
    this.nanoTime = nanoTime;
    this.begun = nanoTime.getAsLong();
    this.seconds = seconds;
    this.firstSecondsPerToken = firstSecondsPerToken;
  }

  /** As long as it takes. */
  public static RankingBudget unbounded() {
    return new RankingBudget(System::nanoTime, Double.POSITIVE_INFINITY, 0);
  }

  /**
   * From now on for a time.
   *
   * @param seconds that it may take
   * @param secondsPerToken until it was measured
   */
  public static RankingBudget of(double seconds, double secondsPerToken) {
    return of(System::nanoTime, seconds, secondsPerToken);
  }

  static RankingBudget of(LongSupplier nanoTime, double seconds, double secondsPerToken) {
    return new RankingBudget(nanoTime, seconds, secondsPerToken);
  }

  /** Whether so many tokens can be run from now on. */
  boolean allows(long more) {
    double elapsed = (nanoTime.getAsLong() - begun) / 1e9;
    return elapsed + more * secondsPerToken().orElse(firstSecondsPerToken) <= seconds;
  }

  /** Runs documents, and learns how long it takes. */
  void run(long count, Runnable work) {
    long from = nanoTime.getAsLong();
    work.run();
    tokens += count;
    spent += (nanoTime.getAsLong() - from) / 1e9;
  }

  /** Tokens that were run. */
  public long tokens() {
    return tokens;
  }

  /** As measured; empty until something was run. */
  public OptionalDouble secondsPerToken() {
    return spent > 0 ? OptionalDouble.of(spent / tokens) : OptionalDouble.empty();
  }
}
