package dev.whence.attribution.confidence;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class IsotonicTest {
  @Test
  void violatorsArePooledIntoTheirMean() {
    Isotonic fit =
        Isotonic.fit(new double[] {1, 2, 3, 4, 5}, new boolean[] {false, true, false, false, true});
    assertThat(fit.at(0)).isZero();
    assertThat(fit.at(1)).isZero();
    for (double score : new double[] {2, 3, 4, 4.9}) {
      assertThat(fit.at(score)).isCloseTo(1 / 3.0, within(1e-12)); // one hit of three
    }
    assertThat(fit.at(5)).isEqualTo(1);
    assertThat(fit.at(9)).isEqualTo(1);
  }

  /** By Barlow et al. (1972): max over starts of min over ends of the mean between them. */
  @Property(tries = 200)
  void itIsTheMaxMinOfMeans(@ForAll @IntRange(min = 1, max = 30) int size, @ForAll long seed) {
    Random random = new Random(seed);
    double[] scores = new double[size];
    boolean[] happened = new boolean[size];
    for (int i = 0; i < size; i++) {
      scores[i] = i; // distinct, ascending
      happened[i] = random.nextBoolean();
    }
    Isotonic fit = Isotonic.fit(scores, happened);
    for (int i = 0; i < size; i++) {
      double most = 0;
      for (int start = 0; start <= i; start++) {
        double least = 1;
        for (int end = i; end < size; end++) {
          least = Math.min(least, mean(happened, start, end));
        }
        most = Math.max(most, least);
      }
      assertThat(fit.at(i)).isCloseTo(most, within(1e-12));
    }
  }

  private static double mean(boolean[] happened, int start, int end) {
    int hits = 0;
    for (int i = start; i <= end; i++) {
      hits += happened[i] ? 1 : 0;
    }
    return (double) hits / (end - start + 1);
  }
}
