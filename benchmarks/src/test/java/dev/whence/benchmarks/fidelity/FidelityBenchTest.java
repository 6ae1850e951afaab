package dev.whence.benchmarks.fidelity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.benchmarks.fidelity.FidelityReport.Row;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.samples.BundledModels;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** All methods on a bundled model that reads: what must hold on every model. */
class FidelityBenchTest {
  private FidelityReport run() throws IOException {
    return FidelityBench.run(
        new FidelityBench.Options(
            BundledModels.unpack("chat-v1"),
            Optional.empty(),
            0,
            4,
            48,
            Dtype.FP32,
            Optional.of(BundledModels.unpack("proxy")),
            true,
            List.of()),
        sentence -> {});
  }

  @Test
  void exactIsTheTruthAndEveryOtherMethodIsMeasuredAgainstIt() throws IOException {
    FidelityReport report = run();
    assertThat(report.prompts()).isEqualTo(4);
    assertThat(report.meanSources()).isBetween(5.0, 40.0);
    assertThat(report.rows()).hasSize(12);
    var rows = report.rows().stream().collect(Collectors.toMap(Row::method, Function.identity()));
    Row exact = rows.get("exact LOO");
    assertThat(exact.precision3().mean()).isEqualTo(1);
    assertThat(exact.pearson().mean()).isCloseTo(1, within(1e-9));
    assertThat(exact.error().orElseThrow().max()).isZero();
    assertThat(exact.ofGeneration()).isPositive();
    Row splice = rows.get("splice, w = 16");
    assertThat(splice.passes()).isLessThan(exact.passes());
    assertThat(splice.precision3().mean()).isGreaterThan(0.5);
    Row wider = rows.get("splice, w = 48");
    assertThat(wider.error().orElseThrow().median())
        .isLessThanOrEqualTo(splice.error().orElseThrow().median());
    assertThat(rows.get("random").passes()).isZero();
    assertThat(rows.get("random").precision1().mean()).isLessThan(1);
    assertThat(rows.get("ContextCite-32").error()).isEmpty();

    assertThat(report.markdown()).contains("| splice, w = 16 |").contains(" sources on average");
    assertThat(report.csv().lines()).hasSize(13);
    assertThat(report.csv().lines().map(line -> line.split(",(?=[^ ])", -1).length).distinct())
        .hasSize(1);
    assertThat(report.plot())
        .startsWith("<svg")
        .contains("exact LOO", "ContextCite-64")
        .doesNotContain("BM25"); // no model runs: there is no cost to draw
  }
}
