package dev.whence.benchmarks.influence;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.benchmarks.Machine;
import dev.whence.benchmarks.fidelity.Interval;
import dev.whence.influence.index.IndexJob;
import dev.whence.influence.model.Measure;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class SketchRecallTest {
  private static double[] ascending(int n) {
    double[] values = new double[n];
    Arrays.setAll(values, i -> i - n / 2.0);
    return values;
  }

  @Test
  void exactEstimatesLoseNothing() {
    double[] exact = ascending(100);
    assertThat(SketchRecall.of(exact, exact, 10)).isEqualTo(1);
    assertThat(SketchRecall.unranked(exact, exact)).isEqualTo(1);
  }

  /** Of 20 documents that count, the 5 largest estimates hold 5 and the 5 smallest hold 5. */
  @Test
  void fewerCandidatesThanCountFindTheirShare() {
    double[] exact = ascending(100);
    assertThat(SketchRecall.of(exact, exact, 5)).isEqualTo(0.5);
  }

  /** With all signs turned, ranking again finds among the negative what is positive. */
  @Test
  void rankingAgainMendsASignAndTheOrderAloneDoesNot() {
    double[] exact = ascending(100);
    double[] turned = Arrays.stream(exact).map(value -> -value).toArray();
    assertThat(SketchRecall.of(exact, turned, 10)).isEqualTo(1);
    assertThat(SketchRecall.unranked(exact, turned)).isZero();
  }

  /** Estimates that know nothing: 2 r of n documents are candidates, so as many of those found. */
  @Test
  void estimatesAtRandomFindWhatChanceFinds() {
    Random random = new Random(5);
    double[] exact = ascending(1000);
    double sum = 0;
    int rounds = 200;
    for (int i = 0; i < rounds; i++) {
      double[] noise = random.doubles(1000).toArray();
      sum += SketchRecall.of(exact, noise, 100);
    }
    // a mean of 4,000 draws of probability .2: 4 standard deviations are .026
    assertThat(sum / rounds).isCloseTo(0.2, within(0.026));
  }

  /** 655,360 elements of 4 bytes are 20,971,520 bits. */
  @Test
  void sizesAreTheNextThatAnIndexCanHave() {
    assertThat(IndexJob.buckets(655_360, 100)).isEqualTo(209_728).isEqualTo(3277 * 64);
    assertThat(IndexJob.buckets(640_000, 100)).isEqualTo(204_800);
  }

  @Test
  void theTableHasARowForEachSize() {
    Interval all = Interval.of(List.of(1.0, 1.0));
    RecallReport report =
        new RecallReport(
            "2026-11-26T00:00:00Z",
            Machine.here(),
            2,
            100,
            655_360,
            List.of(50, 100),
            List.of(
                new RecallReport.Row(Measure.LOG_ODDS, 100, 209_728, all, all, List.of(all, all))));
    assertThat(report.markdown())
        .contains("| documents by | size | numbers | Spearman | not ranked again | 50 of each sign")
        .contains("| log-odds | 1/100 | 209728 | 1.000 (1.000 to 1.000) |");
  }
}
