package dev.whence.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Map;
import java.util.TreeMap;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.Test;

class GrowthTest {
  @Property(tries = 100)
  void timesThatGrowLinearlyAndQuadraticallyAreTakenApart(
      @ForAll @IntRange(min = 100, max = 10_000) int nanosPerToken,
      @ForAll @IntRange(min = 1, max = 1000) int nanosPerPair) {
    Map<Integer, Double> seconds = new TreeMap<>();
    for (int t : new int[] {391, 782, 1173, 1565}) {
      seconds.put(t, 1e-9 * nanosPerToken * t + 1e-9 * nanosPerPair * t * t);
    }
    double[] found = ExactBench.growth(seconds);
    assertThat(found[0]).isCloseTo(1e-9 * nanosPerToken, Percentage.withPercentage(1e-2));
    assertThat(found[1]).isCloseTo(1e-9 * nanosPerPair, Percentage.withPercentage(1e-2));
  }

  @Test
  void timeWithoutAttentionHasNoQuadraticPart() {
    double[] found = ExactBench.growth(Map.of(100, 1.0, 200, 2.0, 400, 4.0));
    assertThat(found[0]).isCloseTo(0.01, within(1e-12));
    assertThat(found[1]).isCloseTo(0, within(1e-14));
  }
}
