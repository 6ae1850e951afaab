package dev.whence.attribution.stage;

import java.util.function.LongSupplier;

/**
 * A token bucket: it fills at the rate of the budget, up to the burst. Work may begin while there
 * is something in it, urgent work down to 0, other work down to the part that is kept for urgent
 * work; what is begun is paid in full, so the bucket may be overdrawn by one response. Owned by the
 * model thread.
 */
final class Budget {
  private final double perNano;
  private final double most;
  private final double kept;
  private final LongSupplier nanos;
  private double tokens;
  private long filledAt;

  /**
   * @param nanos a clock such as {@link System#nanoTime}
   */
  Budget(BudgetOptions options, LongSupplier nanos) {
    this.perNano = options.tokensPerSecond() / 1e9;
    this.most = perNano * options.burst().toNanos();
    this.kept = most * options.urgentShare();
    this.nanos = nanos;
    this.tokens = most;
    this.filledAt = nanos.getAsLong();
  }

  /** Whether work may begin. */
  boolean allows(boolean urgent) {
    if (perNano == 0) {
      return true;
    }
    long now = nanos.getAsLong();
    tokens = Math.min(most, tokens + (now - filledAt) * perNano);
    filledAt = now;
    return tokens > (urgent ? 0 : kept);
  }

  /** Pays for work that is done; what failed for a reason of the environment costs nothing. */
  void pay(long cost) {
    tokens -= cost;
  }
}
