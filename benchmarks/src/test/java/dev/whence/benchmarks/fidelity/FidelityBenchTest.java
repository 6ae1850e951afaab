package dev.whence.benchmarks.fidelity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.benchmarks.fidelity.FidelityReport.Row;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.samples.BundledModels;
import dev.whence.samples.Kind;
import dev.whence.samples.QuestionLines;
import dev.whence.samples.QuestionOptions;
import dev.whence.samples.Questions;
import dev.whence.samples.World;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** All methods on a bundled model that reads: what must hold on every model. */
class FidelityBenchTest {
  @TempDir private Path dir;

  private FidelityReport run() throws IOException {
    Questions questions =
        new Questions(
            World.v1(1), QuestionOptions.evaluation(3, Kind.DIRECT).withSentences(12, 12));
    List<dev.whence.samples.Question> list = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      list.add(questions.question(i));
    }
    Path input = dir.resolve("questions.jsonl");
    QuestionLines.write(input, list, false);
    return FidelityBench.run(
        new FidelityBench.Options(
            BundledModels.unpack("chat-v1"), input, 0, 0, 24, Dtype.FP32, List.of()),
        sentence -> {});
  }

  @Test
  void exactIsTheTruthAndEveryOtherMethodIsMeasuredAgainstIt() throws IOException {
    FidelityReport report = run();
    assertThat(report.prompts()).isEqualTo(4);
    assertThat(report.meanSources()).isEqualTo(12);
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

    assertThat(report.markdown()).contains("| splice, w = 16 |").contains("12.0 sources");
    assertThat(report.csv().lines()).hasSize(13);
    assertThat(report.csv().lines().map(line -> line.split(",(?=[^ ])", -1).length).distinct())
        .hasSize(1);
    assertThat(report.plot())
        .startsWith("<svg")
        .contains("exact LOO", "ContextCite-64")
        .doesNotContain("BM25"); // no model runs: there is no cost to draw
  }
}
