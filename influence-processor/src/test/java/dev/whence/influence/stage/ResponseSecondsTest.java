package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

class ResponseSecondsTest {
  /**
   * A model of 2.8 billion parameters whose gradient took 32.3 s and inverses 32.7 s on 2 cores
   * (docs/evidence/influence.md) is allowed for before anything was measured.
   */
  @Test
  void whatIsNotMeasuredIsReckonedWithCare() {
    ResponseSeconds seconds = new ResponseSeconds(2.8e9, 4.03e12);
    assertThat(seconds.measured(200)).isEmpty();
    assertThat(seconds.of(200)).isBetween(65.0, 1000.0);
  }

  @Test
  void tokensAreCountedForTheGradientAndNotForTheInverses() {
    ResponseSeconds seconds = new ResponseSeconds(1e6, 1e6);
    seconds.add(100, 5, 30);
    assertThat(seconds.measured(100)).hasValueCloseTo(35.0, within(1e-9));
    assertThat(seconds.measured(500)).hasValueCloseTo(55.0, within(1e-9));
    assertThat(seconds.measured(1)).hasValueCloseTo(30.05, within(1e-9));
  }

  /** Otherwise one bad measurement would keep all responses from being measured again. */
  @Test
  void whatIsGivenUpAgainAndAgainIsTriedOnceInAWhile() {
    ResponseSeconds seconds = new ResponseSeconds(1e6, 1e6);
    seconds.add(100, 5, 60);
    int givenUp = 0;
    while (seconds.measured(100).orElseThrow() > 30) {
      seconds.fade();
      givenUp++;
    }
    assertThat(givenUp).isBetween(10, 100);
  }
}
