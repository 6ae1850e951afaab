package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

class ResponseSecondsTest {
  /**
   * A gradient of 512 tokens took 32.3 s with a model of 2.78 billion parameters, the inverses of
   * two of its matrices 32.7 s, on 2 cores (docs/evidence/influence.md): what is reckoned is more,
   * and a watchdog allows a multiple of that.
   */
  @Test
  void whatIsNotMeasuredIsReckonedWithCare() {
    double parameters = 2.78e9;
    double inverses =
        1.5 * 4 * 2560 * (2561.0 * (2560 + 2561) + 10241.0 * (2560 + 10241)); // single-stage
    ResponseSeconds seconds = new ResponseSeconds(parameters, inverses);
    assertThat(seconds.isLonger(512, 0)).isFalse();
    assertThat(seconds.of(512))
        .isCloseTo((3 * parameters * 512 + inverses) / 1e10, within(1e-6))
        .isGreaterThan(32.3 + 32.7);
    assertThat(seconds.of(0)).isGreaterThan(32.7);
  }

  @Test
  void tokensAreCountedForTheGradientAndNotForTheInverses() {
    ResponseSeconds seconds = new ResponseSeconds(1e6, 1e6);
    seconds.add(100, 5, 30);
    assertThat(seconds.of(100)).isCloseTo(35, within(1e-9));
    assertThat(seconds.of(500)).isCloseTo(55, within(1e-9));
    assertThat(seconds.of(1)).isCloseTo(30.05, within(1e-9));
    assertThat(seconds.isLonger(100, 34)).isTrue();
    assertThat(seconds.isLonger(100, 36)).isFalse();
  }

  /**
   * Otherwise one bad measurement would keep all responses from being measured again. The watchdog
   * is told what was measured, however often that was not believed.
   */
  @Test
  void whatIsGivenUpAgainAndAgainIsTriedOnceInAWhile() {
    ResponseSeconds seconds = new ResponseSeconds(1e6, 1e6);
    seconds.add(100, 5, 60);
    int givenUp = 0;
    while (seconds.isLonger(100, 30)) {
      seconds.fade();
      givenUp++;
    }
    assertThat(givenUp).isBetween(10, 100);
    assertThat(seconds.of(100)).isCloseTo(65, within(1e-9));
    seconds.add(100, 5, 60);
    assertThat(seconds.isLonger(100, 30)).isTrue();
  }
}
