package dev.whence.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.attribution.Proportion;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ProportionTest {
  /** Newcombe, Statistics in Medicine 17 (1998), table I, method 3. */
  @ParameterizedTest
  @CsvSource({
    "81, 263, 0.2553, 0.3662",
    "15, 148, 0.0624, 0.1605",
    "0, 20, 0.0000, 0.1611",
    "1, 29, 0.0061, 0.1718",
  })
  void theIntervalIsWilsons(int hits, int of, double low, double high) {
    Proportion proportion = Proportion.of(hits, of);
    assertThat(proportion.share()).isEqualTo((double) hits / of);
    assertThat(proportion.low()).isCloseTo(low, within(5e-5));
    assertThat(proportion.high()).isCloseTo(high, within(5e-5));
  }

  @Test
  void theIntervalOfTheOppositeIsTheOpposite() {
    Proportion one = Proportion.of(15, 148);
    Proportion other = Proportion.of(133, 148);
    assertThat(other.low()).isCloseTo(1 - one.high(), within(1e-12));
    assertThat(other.high()).isCloseTo(1 - one.low(), within(1e-12));
    assertThat(Proportion.of(20, 20).high()).isEqualTo(1);
  }

  @Test
  void nothingCountedSaysNothing() {
    assertThat(Proportion.of(0, 0)).isEqualTo(new Proportion(0, 0, 0, 0, 1));
    assertThat(Proportion.of(0, 0).text()).isEqualTo("none to count");
    assertThatThrownBy(() -> Proportion.of(3, 2)).isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void aMeanHasTheHalfWidthOfItsStandardError() {
    Mean mean = Mean.of(List.of(1.0, 2.0, 3.0, 4.0));
    assertThat(mean.mean()).isEqualTo(2.5);
    // variance 5 / 3
    assertThat(mean.half()).isCloseTo(1.959964 * Math.sqrt(5.0 / 3 / 4), within(1e-6));
    assertThat(Mean.of(List.of())).isEqualTo(new Mean(0, 0, 0));
    assertThat(Mean.of(List.of(7.0))).isEqualTo(new Mean(7, 0, 1));
  }
}
