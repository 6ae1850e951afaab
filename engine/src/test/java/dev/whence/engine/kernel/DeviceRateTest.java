package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;

/** Work of 1 second at the plain rates, so that factors read as seconds. */
class DeviceRateTest {
  private static final Offset<Double> CLOSE = within(1e-9);

  private final DeviceRate rate = new DeviceRate(1e9, 1e9, 0);
  private final Work second = new Work(1, 1e9, 0, 0);

  @Test
  void theFirstPacksWarmUpAndDoNotCount() {
    for (int i = 0; i < DeviceRate.WARM_UP; i++) {
      rate.record(second, 1, 500);
    }
    assertThat(rate.seconds(second, 1)).isCloseTo(DeviceRate.CALIBRATED, CLOSE);
  }

  @Test
  void whatPacksTakeIsLearned() {
    warmUp();
    rate.record(second, 1, 2.5);
    assertThat(rate.seconds(second, 1)).isCloseTo(2.5, CLOSE);
    for (int i = 0; i < 9; i++) {
      rate.record(second, 1, 3);
    }
    assertThat(rate.seconds(second, 1)).isCloseTo(3, CLOSE);
  }

  @Test
  void oneSlowPackAmongOthersDoesNotCount() {
    warmUp();
    for (double took : new double[] {2, 2, 300, 2, 2}) {
      rate.record(second, 1, took);
    }
    assertThat(rate.seconds(second, 1)).isCloseTo(2, CLOSE);
  }

  @Test
  void packsThatRanTogetherOutvoteThoseThatRanAloneButNotTheirLikes() {
    warmUp();
    rate.record(second, 1, 3);
    rate.record(second, 20, 2);
    rate.record(second, 1, 3);
    assertThat(rate.seconds(second, 1)).isCloseTo(2, CLOSE);
    rate.record(second, 20, 2);
    rate.record(second, 20, 2);
    rate.record(second, 20, 300);
    assertThat(rate.seconds(second, 1)).isCloseTo(2, CLOSE);
  }

  @Test
  void aMeasurementCountsWithinALimitOnly() {
    warmUp();
    rate.record(second, 1, 1e9);
    assertThat(rate.seconds(second, 1)).isCloseTo(DeviceRate.CALIBRATED * DeviceRate.RANGE, CLOSE);
    for (int i = 0; i < 9; i++) {
      rate.record(second, 1, 0);
    }
    assertThat(rate.seconds(second, 1)).isCloseTo(DeviceRate.CALIBRATED / DeviceRate.RANGE, CLOSE);
  }

  /** As when every record is refused for its predicted cost: nothing runs, all is predicted. */
  @Test
  void predictionsWithoutPacksGoBackToTheCalibratedRate() {
    warmUp();
    for (int i = 0; i < 9; i++) {
      rate.record(second, 1, 20);
    }
    double last = rate.seconds(second, 1);
    assertThat(last).isCloseTo(20, CLOSE);
    for (int i = 0; i < 500; i++) {
      double next = rate.seconds(second, 1);
      assertThat(next).isLessThanOrEqualTo(last);
      last = next;
    }
    assertThat(last).isCloseTo(DeviceRate.CALIBRATED, within(0.01));
    rate.record(second, 1, 2);
    assertThat(rate.seconds(second, 1)).isCloseTo(2, CLOSE);
  }

  private void warmUp() {
    for (int i = 0; i < DeviceRate.WARM_UP; i++) {
      rate.record(second, 1, 1);
    }
  }
}
