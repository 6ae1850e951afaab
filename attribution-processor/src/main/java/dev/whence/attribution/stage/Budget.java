package dev.whence.attribution.stage;

import java.util.function.LongSupplier;

/**
 * Two token buckets that share the rate and the burst of the budget: one for all work, one that is
 * kept for what is urgent. Work may begin while there is something in a bucket that is open to it;
 * what is begun is paid in full, so a bucket may be overdrawn by one response, but however dear
 * other work was, it never takes what is kept for urgent work. What no longer fits into one bucket
 * goes to the other. Owned by the model thread.
 */
final class Budget {
  private final double perNano;
  private final double urgentShare;
  private final double most;
  private final double mostKept;
  private final LongSupplier nanos;
  private double tokens;
  private double kept;
  private long filledAt;

  /**
   * @param nanos a clock such as {@link System#nanoTime}
   */
  Budget(BudgetOptions options, LongSupplier nanos) {
    this.perNano = options.tokensPerSecond() / 1e9;
    this.urgentShare = options.urgentShare();
    double burst = perNano * options.burst().toNanos();
    this.mostKept = burst * urgentShare;
    this.most = burst - mostKept;
    this.nanos = nanos;
    this.tokens = most;
    this.kept = mostKept;
    this.filledAt = nanos.getAsLong();
  }

  /** Whether work may begin. */
  boolean allows(boolean urgent) {
    if (perNano == 0) {
      return true;
    }
    fill();
    return tokens > 0 || (urgent && kept > 0);
  }

  private void fill() {
    long now = nanos.getAsLong();
    double added = (now - filledAt) * perNano;
    filledAt = now;
    double forKept = Math.min(mostKept - kept, urgentShare * added);
    double forAll = Math.min(most - tokens, added - forKept);
    tokens += forAll;
    kept = Math.min(mostKept, kept + added - forAll);
  }

  /**
   * Pays for work that is done; what failed for a reason of the environment costs nothing.
   *
   * @param urgent pays with what is left for all work, and then with what is kept
   */
  void pay(long cost, boolean urgent) {
    double shared = urgent && kept > 0 ? Math.min((double) cost, Math.max(0, tokens)) : cost;
    tokens -= shared;
    kept -= cost - shared;
  }
}
