package dev.whence.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.ModelFiles;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TrainBenchTest {
  @TempDir Path directory;

  @Test
  void aStepsPartsAndItsShareOfThePeakAreReported() throws IOException {
    ModelConfig config;
    try (ModelFiles files = ModelFiles.open(TinyModel.write(directory.resolve("tiny"), 1))) {
      config = files.config();
    }
    TrainReport report =
        TrainBench.run(
            config, "tiny", new TrainBench.Options(List.of(16, 32), 70, 2), sentence -> {});

    assertThat(report.cases()).hasSize(2);
    TrainReport.Case first = report.cases().get(0);
    assertThat(first.rows()).isEqualTo(4);
    assertThat(first.length()).isEqualTo(16);
    assertThat(first.forwardFlops()).isEqualTo(4 * ForwardFlops.of(config, 16, 15).total());
    assertThat(report.cases().get(1).rows()).isEqualTo(2);
    for (TrainReport.Case one : report.cases()) {
      assertThat(one.stepSeconds().runs()).isEqualTo(2);
      assertThat(one.shareOfPeak().max())
          .as("share = FLOPs / seconds / peak")
          .isBetween(
              3 * one.forwardFlops() / one.stepSeconds().max() / report.gemmPeak().max(),
              3 * one.forwardFlops() / one.stepSeconds().min() / report.gemmPeak().min());
      assertThat(one.forwardSeconds().min()).isPositive();
      assertThat(one.optimiserSeconds().min()).isPositive();
    }
    // embedding 258 x 64, per layer q, k, v, o 64 x (64 + 32 + 32 + 64), MLP 3 x 64 x 128, 2 norms
    double expected = 2.0 * 258 * 64 + 2 * (64 * 192 + 3 * 64 * 128 + 128) + 64;
    assertThat((double) report.parameters()).isCloseTo(expected, within(0.0));
    assertThat(report.markdown()).contains("| 4 x 16 |", "share of the GEMM peak");
  }

  @Test
  void lengthsThatDoNotFitTheBatchAreRefused() {
    assertThatThrownBy(() -> new TrainBench.Options(List.of(128), 64, 1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("length 128");
  }
}
