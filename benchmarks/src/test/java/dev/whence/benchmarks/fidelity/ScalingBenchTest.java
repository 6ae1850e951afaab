package dev.whence.benchmarks.fidelity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.benchmarks.fidelity.ScalingReport.Point;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.samples.BundledModels;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.Test;

/** What methods compute is what their formulas say, over n and over T. */
class ScalingBenchTest {
  /**
   * Which sources are scored again depends on the scores; which are masked is drawn; and beside
   * each short cut of a splice a few tokens change, which a small vocabulary has more of.
   */
  private static final Map<String, Integer> PERCENT =
      Map.of(
          "cascade, top 6", 45,
          "hierarchical, K = 2", 30,
          "ContextCite-32", 15,
          "splice, w = 16", 15,
          "paragraph-first splice, K = 2", 15);

  /**
   * Sources of fewer words would be near-duplicates of one another, which are read together, too.
   */
  @Test
  void tokensComputedFollowTheFormulas() throws IOException {
    ScalingReport report =
        ScalingBench.run(
            new ScalingBench.Options(
                BundledModels.unpack("tiny-chat"), Dtype.FP32, List.of(4, 8), List.of(120, 180), 1),
            sentence -> {});
    assertThat(report.points()).hasSize(12 * 3);
    for (Point point : report.points()) {
      int percent = PERCENT.getOrDefault(point.method(), 8);
      assertThat((double) point.measured())
          .as("%s, n = %d, T = %d", point.method(), point.sources(), point.tokens())
          .isCloseTo(point.formula(), Percentage.withPercentage(percent));
      assertThat(point.tokens()).isBetween(point.wantedTokens() / 2, 256);
    }
    for (String method : report.methods()) {
      assertThat(report.overSources(method)).extracting(Point::sources).containsExactly(4, 8);
      assertThat(report.overTokens(method)).hasSize(2);
    }
    assertThat(report.markdown()).contains("| gradient norm | 8 |");
    assertThat(report.csv().lines()).hasSize(37);
    assertThat(report.plot()).startsWith("<svg").contains("naive LOO", "tokens T, at n = 8");
  }

  @Test
  void nothingToMeasureIsRefused() {
    Path model = Path.of("m");
    assertThatThrownBy(
            () -> new ScalingBench.Options(model, Dtype.FP32, List.of(), List.of(128), 1))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(
            () -> new ScalingBench.Options(model, Dtype.FP32, List.of(1), List.of(128), 1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("2 or more");
  }
}
