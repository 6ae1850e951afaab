package dev.whence.benchmarks.fidelity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Measures, against values computed by hand. */
class RankingTest {
  private static final double[] EXACT = {0.2, 5, -1, 3, 1.5, 0.9};

  @Test
  void relevantAreTheTopOfTheExactScoresAboveOneNat() {
    assertThat(Ranking.relevant(EXACT, 1, 1)).containsExactly(1);
    assertThat(Ranking.relevant(EXACT, 3, 1)).containsExactlyInAnyOrder(1, 3, 4);
    assertThat(Ranking.relevant(EXACT, 5, 1)).containsExactlyInAnyOrder(1, 3, 4);
    assertThat(Ranking.relevant(new double[] {0.5, 1}, 3, 1)).isEmpty();
  }

  @Test
  void averagePrecisionIsTheMeanOfThePrecisionsAtTheRelevantOnes() {
    double[] scores = {9, 8, 7, 6, 1, 0};
    // relevant at ranks 2, 4, 5: (1/2 + 2/4 + 3/5) / 3
    assertThat(Ranking.averagePrecision(scores, Set.of(1, 3, 4)).orElseThrow())
        .isCloseTo(1.6 / 3, within(1e-12));
    assertThat(Ranking.averagePrecision(EXACT, Set.of(1, 3, 4)).orElseThrow()).isEqualTo(1);
    assertThat(Ranking.averagePrecision(scores, Set.of())).isEmpty();
  }

  @Test
  void equalScoresKeepTheirOrder() {
    assertThat(Ranking.order(new double[] {1, 2, 2, 1})).isEqualTo(List.of(1, 2, 0, 3));
  }

  @Test
  void correlations() {
    double[] x = {1, 2, 3, 4};
    double[] y = {1, 4, 9, 16};
    // scipy.stats 1.17.1: pearsonr 0.984374, spearmanr 1, kendalltau 1
    assertThat(Ranking.pearson(x, y).orElseThrow()).isCloseTo(0.984374, within(1e-6));
    assertThat(Ranking.spearman(x, y)).contains(1.0);
    assertThat(Ranking.kendall(x, y)).contains(1.0);
    double[] tied = {2, 1, 2, 0};
    // scipy.stats 1.17.1: spearmanr -0.632456, kendalltau -0.547723
    assertThat(Ranking.spearman(x, tied).orElseThrow()).isCloseTo(-0.632456, within(1e-6));
    assertThat(Ranking.kendall(x, tied).orElseThrow()).isCloseTo(-0.547723, within(1e-6));
    assertThat(Ranking.pearson(x, new double[] {1, 1, 1, 1})).isEqualTo(Optional.empty());
    assertThat(Ranking.kendall(x, new double[] {1, 1, 1, 1})).isEmpty();
    // Scores that say nothing are counted as that.
    assertThat(Ranking.pearson(new double[] {1, 1, 1, 1}, x)).contains(0.0);
    assertThat(Ranking.spearman(new double[] {1, 1, 1, 1}, x)).contains(0.0);
    assertThat(Ranking.kendall(new double[] {1, 1, 1, 1}, x)).contains(0.0);
  }

  @Test
  void areaUnderTheCurveCountsPairsAndHalvesTies() {
    assertThat(Ranking.rocAuc(new double[] {3, 1, 2, 2}, Set.of(0, 3)).orElseThrow())
        .isCloseTo((2 + 1 + 0.5) / 4, within(1e-12));
    assertThat(Ranking.rocAuc(new double[] {1, 2}, Set.of())).isEmpty();
    assertThat(Ranking.rocAuc(new double[] {1, 2}, Set.of(0, 1))).isEmpty();
  }

  @Test
  void anIntervalHoldsItsMeanAndNarrowsWithMoreValues() {
    List<Double> few = List.of(0.0, 1.0, 1.0, 0.5);
    List<Double> many =
        java.util.stream.IntStream.range(0, 400).mapToObj(i -> few.get(i % 4)).toList();
    Interval narrow = Interval.of(many);
    Interval wide = Interval.of(few);
    assertThat(wide.mean()).isEqualTo(0.625);
    assertThat(narrow.mean()).isCloseTo(0.625, within(1e-12));
    assertThat(narrow.low()).isBetween(wide.low(), narrow.mean());
    assertThat(narrow.high()).isBetween(narrow.mean(), wide.high());
    // standard error of 400 values of deviation 0.4146
    assertThat(narrow.high() - narrow.low()).isCloseTo(2 * 1.96 * 0.4146 / 20, within(0.01));
    assertThat(Interval.of(List.of()).text()).isEqualTo("-");
  }
}
