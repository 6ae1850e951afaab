package dev.whence.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Map;
import java.util.TreeMap;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.Test;

class GrowthTest {
  @Property(tries = 100)
  void timesThatGrowLinearlyAndQuadraticallyAreTakenApart(
      @ForAll @DoubleRange(min = 1e-4, max = 1e-2) double linear,
      @ForAll @DoubleRange(min = 1e-8, max = 1e-5) double quadratic) {
    Map<Integer, Double> seconds = new TreeMap<>();
    for (int t : new int[] {391, 782, 1173, 1565}) {
      seconds.put(t, linear * t + quadratic * t * t);
    }
    double[] found = ExactBench.growth(seconds);
    assertThat(found[0]).isCloseTo(linear, Percentage.withPercentage(1e-3));
    assertThat(found[1]).isCloseTo(quadratic, Percentage.withPercentage(1e-2));
  }

  @Test
  void timeWithoutAttentionHasNoQuadraticPart() {
    double[] found = ExactBench.growth(Map.of(100, 1.0, 200, 2.0, 400, 4.0));
    assertThat(found[0]).isCloseTo(0.01, within(1e-12));
    assertThat(found[1]).isCloseTo(0, within(1e-14));
  }
}
