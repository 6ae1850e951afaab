package dev.whence.benchmarks.fidelity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Measures by ablations, on likelihoods that are known functions of the sources that are left. */
class FaithfulnessTest {
  private static final double[] WORTH = {5, 0.5, -1, 3, 0, 2, 0.25, 1, -0.5, 0.75};

  /** L = -20 + the sum of what the sources left are worth. */
  private static List<Double> additive(List<? extends Set<Integer>> removed) {
    return removed.stream()
        .map(
            cut -> {
              double sum = -20;
              for (int i = 0; i < WORTH.length; i++) {
                sum += cut.contains(i) ? 0 : WORTH[i];
              }
              return sum;
            })
        .toList();
  }

  private static double[] negated() {
    double[] scores = new double[WORTH.length];
    for (int i = 0; i < scores.length; i++) {
      scores[i] = -WORTH[i];
    }
    return scores;
  }

  @Test
  void theTruthOfAnAdditiveModelForetellsAllAblations() {
    Faithfulness faithfulness = new Faithfulness(WORTH.length, FaithfulnessTest::additive);
    assertThat(faithfulness.lds(WORTH).orElseThrow()).isCloseTo(1, within(1e-12));
    assertThat(faithfulness.lds(negated()).orElseThrow()).isCloseTo(-1, within(1e-12));
    assertThat(faithfulness.lds(new double[WORTH.length])).contains(0.0);
  }

  @Test
  void aDropIsWhatTheTopSourcesAreWorthTogether() {
    Faithfulness faithfulness = new Faithfulness(WORTH.length, FaithfulnessTest::additive);
    assertThat(faithfulness.drop(WORTH, 1)).isCloseTo(5, within(1e-12));
    assertThat(faithfulness.drop(WORTH, 3)).isCloseTo(5 + 3 + 2, within(1e-12));
    assertThat(faithfulness.drop(negated(), 3)).isCloseTo(-1 - 0.5 + 0, within(1e-12));
    assertThat(faithfulness.drop(WORTH, 99)).isCloseTo(11, within(1e-12));
  }

  @Test
  void theDeletionCurveIsIntegratedByTrapezoids() {
    Faithfulness faithfulness = new Faithfulness(WORTH.length, FaithfulnessTest::additive);
    // one source a step, in order 5, 3, 2, 1, .75, .5, .25, 0, -.5, -1; all are worth 11
    double[] left = {11, 6, 3, 1, 0, -0.75, -1.25, -1.5, -1.5, -1, 0};
    double area = 0;
    for (int i = 1; i < left.length; i++) {
      area += (left[i - 1] + left[i]) / 2 / 11 / 10;
    }
    assertThat(faithfulness.deletion(WORTH).orElseThrow()).isCloseTo(area, within(1e-12));
    assertThat(faithfulness.deletion(negated()).orElseThrow()).isGreaterThan(0.5);
  }

  @Test
  void whereSourcesAreWorthNothingThereIsNoDeletionCurve() {
    Faithfulness faithfulness =
        new Faithfulness(4, removed -> removed.stream().map(cut -> -5 - 0.1 * cut.size()).toList());
    assertThat(faithfulness.deletion(new double[] {1, 2, 3, 4})).isEqualTo(Optional.empty());
    assertThat(faithfulness.drop(new double[] {1, 2, 3, 4}, 1)).isCloseTo(0.1, within(1e-12));
  }
}
