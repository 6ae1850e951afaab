package dev.whence.attribution.stage;

import dev.whence.runtime.config.Settings;
import java.time.Duration;

/**
 * What one instance of the TARGET role may spend.
 *
 * @param tokensPerSecond tokens through its model; 0: no bound
 * @param burst unspent tokens of so long a time may be spent at once
 * @param urgentShare share of the burst that is kept for urgent requests, 0 to 1
 */
public record BudgetOptions(double tokensPerSecond, Duration burst, double urgentShare) {
  static BudgetOptions read(Settings settings) {
    return new BudgetOptions(
        settings.number("budget.tokens-per-second", 0, 0, 1e12),
        settings.duration(
            "budget.burst", Duration.ofMinutes(1), Duration.ofMillis(1), Duration.ofDays(1)),
        settings.number("budget.urgent-share", 0.2, 0, 1));
  }
}
