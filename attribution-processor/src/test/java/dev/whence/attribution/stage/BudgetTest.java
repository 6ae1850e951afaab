package dev.whence.attribution.stage;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

class BudgetTest {
  private final AtomicLong nanos = new AtomicLong(5);

  private Budget budget(double perSecond, double urgentShare) {
    return new Budget(
        new BudgetOptions(perSecond, Duration.ofSeconds(10), urgentShare), nanos::get);
  }

  private static boolean take(Budget budget, long cost, boolean urgent) {
    boolean allowed = budget.allows(urgent);
    if (allowed) {
      budget.pay(cost, urgent);
    }
    return allowed;
  }

  private void pass(Duration time) {
    nanos.addAndGet(time.toNanos());
  }

  @Test
  void unspentTokensOfTheBurstMayBeSpentAtOnceAndThenTheRateHolds() {
    Budget budget = budget(100, 0); // 1,000 in the bucket
    assertThat(take(budget, 900, false)).isTrue();
    assertThat(take(budget, 900, false)).isTrue(); // overdrawn: -800
    assertThat(take(budget, 1, false)).isFalse();
    pass(Duration.ofMillis(7990));
    assertThat(take(budget, 1, false)).isFalse();
    pass(Duration.ofMillis(20));
    assertThat(take(budget, 1, false)).isTrue();
  }

  @Test
  void aPartIsKeptForWhatIsUrgent() {
    Budget budget = budget(100, 0.2); // 200 of 1,000
    assertThat(take(budget, 850, false)).isTrue();
    assertThat(take(budget, 1, false)).isFalse();
    assertThat(take(budget, 100, true)).isTrue();
    assertThat(take(budget, 100, true)).isTrue();
    assertThat(take(budget, 1, true)).isFalse();
  }

  @Test
  void howeverDearOtherWorkIsWhatIsKeptStaysForWhatIsUrgent() {
    Budget budget = budget(100, 0.2);
    assertThat(take(budget, 100_000, false)).isTrue(); // overdrawn by far
    assertThat(take(budget, 1, false)).isFalse();
    assertThat(take(budget, 150, true)).isTrue();
    assertThat(take(budget, 100, true)).isTrue(); // overdrawn by 50
    assertThat(take(budget, 1, true)).isFalse();
    pass(Duration.ofSeconds(2)); // 20 a second, since the rest goes to what is overdrawn
    assertThat(take(budget, 1, true)).isFalse();
    pass(Duration.ofSeconds(1));
    assertThat(take(budget, 1, true)).isTrue();
    assertThat(take(budget, 1, false)).isFalse();
  }

  @Test
  void theWholeRateIsForOtherWorkWhereNothingIsUrgent() {
    Budget budget = budget(100, 0.2);
    assertThat(take(budget, 1_800, false)).isTrue(); // 800 too much
    pass(Duration.ofMillis(9_990));
    assertThat(take(budget, 1, false)).isFalse();
    pass(Duration.ofMillis(20));
    assertThat(take(budget, 1, false)).isTrue();
  }

  @Test
  void noMoreThanTheBurstIsSavedUp() {
    Budget budget = budget(100, 0);
    pass(Duration.ofDays(30));
    assertThat(take(budget, 1001, false)).isTrue();
    assertThat(take(budget, 1, false)).isFalse();
  }

  @Test
  void withoutARateThereIsNoBound() {
    Budget budget = budget(0, 0.2);
    for (int i = 0; i < 100; i++) {
      assertThat(take(budget, Long.MAX_VALUE, false)).isTrue();
    }
  }
}
