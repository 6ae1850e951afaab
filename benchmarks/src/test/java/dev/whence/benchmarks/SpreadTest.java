package dev.whence.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class SpreadTest {
  @Test
  void theMedianOfAnOddNumberOfRunsIsTheMiddleOne() {
    assertThat(Spread.of(List.of(9.0, 1.0, 4.0))).isEqualTo(new Spread(1, 4, 9, 3));
  }

  @Test
  void theMedianOfAnEvenNumberOfRunsIsTheMeanOfTheMiddleTwo() {
    assertThat(Spread.of(List.of(8.0, 1.0, 4.0, 2.0))).isEqualTo(new Spread(1, 3, 8, 4));
  }

  @Test
  void aPercentileIsTheNearestRank() {
    List<Double> values =
        new java.util.ArrayList<>(IntStream.rangeClosed(1, 200).mapToObj(i -> (double) i).toList());
    Collections.reverse(values);
    assertThat(Spread.percentile(values, 0.99)).isEqualTo(198);
    assertThat(Spread.percentile(values, 0.5)).isEqualTo(100);
    assertThat(Spread.percentile(values, 1)).isEqualTo(200);
    assertThat(Spread.percentile(List.of(7.0), 0.01)).isEqualTo(7);
  }

  @Test
  void nothingMeasuredHasNoSpread() {
    assertThatThrownBy(() -> Spread.of(List.of())).isInstanceOf(IllegalArgumentException.class);
  }
}
