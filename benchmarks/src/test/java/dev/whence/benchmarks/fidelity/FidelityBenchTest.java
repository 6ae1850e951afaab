package dev.whence.benchmarks.fidelity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.benchmarks.fidelity.FidelityReport.Ablated;
import dev.whence.benchmarks.fidelity.FidelityReport.Row;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.samples.BundledModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** All methods on a bundled model that reads: what must hold on every model. */
class FidelityBenchTest {
  private static final List<String> METHODS =
      List.of(
          "exact LOO",
          "splice, w = 16",
          "splice, w = 48",
          "ContextCite-32",
          "attention",
          "proxy: exact",
          "proxy pruning",
          "BM25",
          "random");

  private static @Nullable FidelityReport shared;

  private static synchronized FidelityReport run() throws IOException {
    if (shared == null) {
      shared = measure();
    }
    return shared;
  }

  private static FidelityReport measure() throws IOException {
    return FidelityBench.run(
        new FidelityBench.Options(
            BundledModels.unpack("chat-v1"),
            Optional.empty(),
            0,
            1,
            Optional.empty(),
            48,
            Dtype.FP32,
            Optional.of(BundledModels.unpack("proxy")),
            true,
            METHODS,
            Optional.empty()),
        sentence -> {});
  }

  @Test
  void aRunThatWasCutOffGoesOnWithWhatItMeasured(@TempDir Path directory) throws IOException {
    Path kept = directory.resolve("kept.jsonl");
    List<String> said = new ArrayList<>();
    Row first = quick(1, 16, kept, said::add).rows().get(0);
    FidelityReport both = quick(2, 16, kept, said::add);
    assertThat(said)
        .hasSize(3)
        .satisfiesExactly(
            sentence -> assertThat(sentence).doesNotContain("before"),
            sentence -> assertThat(sentence).contains("prompt 1 of 2", "measured before"),
            sentence -> assertThat(sentence).doesNotContain("before"));
    assertThat(both.prompts()).isEqualTo(2);
    assertThat(both.takenOver()).isEqualTo(1);
    assertThat(Files.readAllLines(kept)).hasSize(3);
    FidelityReport again = quick(1, 16, kept, said::add);
    assertThat(again.rows().get(0)).isEqualTo(first);
    assertThatThrownBy(() -> quick(1, 8, kept, said::add))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("max-new-tokens=16")
        .hasMessageContaining("name another file");
    String measured = Files.readString(kept);
    Files.writeString(kept, measured.replaceFirst("\"build\":\"....", "\"build\":\"abcd"));
    assertThatThrownBy(() -> quick(1, 16, kept, said::add))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("build=abcd");
  }

  @Test
  void aLineThatWasCutShortIsMeasuredAgainAndOthersAreRefused(@TempDir Path directory)
      throws IOException {
    Path kept = directory.resolve("kept.jsonl");
    quick(1, 16, kept, sentence -> {});
    String whole = Files.readString(kept);
    Files.writeString(kept, whole.substring(0, whole.length() - 40));
    List<String> said = new ArrayList<>();
    quick(1, 16, kept, said::add);
    assertThat(said).singleElement().asString().doesNotContain("before");
    assertThat(Files.readAllLines(kept)).hasSize(2);
    Files.writeString(kept, whole.lines().toList().get(0) + "\n{}x\n" + "{}\n");
    assertThatThrownBy(() -> quick(1, 16, kept, said::add))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("line 2");
  }

  private static FidelityReport quick(int prompts, int tokens, Path kept, Consumer<String> progress)
      throws IOException {
    return FidelityBench.run(
        new FidelityBench.Options(
            BundledModels.unpack("chat-v1"),
            Optional.empty(),
            0,
            prompts,
            Optional.empty(),
            tokens,
            Dtype.FP32,
            Optional.empty(),
            false,
            List.of("exact", "splice, w = 0"),
            Optional.of(kept)),
        progress);
  }

  @Test
  void exactIsTheTruthAndEveryOtherMethodIsMeasuredAgainstIt() throws IOException {
    FidelityReport report = run();
    assertThat(report.prompts()).isEqualTo(1);
    assertThat(report.meanSources()).isBetween(5.0, 40.0);
    assertThat(report.rows()).hasSize(9);
    var rows = report.rows().stream().collect(Collectors.toMap(Row::method, Function.identity()));
    Row exact = rows.get("exact LOO");
    assertThat(exact.agreement().precision3().mean()).isEqualTo(1);
    assertThat(exact.agreement().pearson().mean()).isCloseTo(1, within(1e-9));
    assertThat(exact.agreement().error().orElseThrow().max()).isZero();
    assertThat(exact.cost().ofGeneration()).isPositive();
    Row splice = rows.get("splice, w = 16");
    assertThat(splice.cost().passes()).isLessThan(exact.cost().passes());
    assertThat(splice.agreement().precision3().mean()).isGreaterThan(0.5);
    assertThat(exact.agreement().precision3LessExact()).isEmpty();
    assertThat(splice.agreement().precision3LessExact().orElseThrow().mean())
        .isCloseTo(splice.agreement().precision3().mean() - 1, within(1e-9));
    Row wider = rows.get("splice, w = 48");
    assertThat(wider.agreement().error().orElseThrow().median())
        .isLessThanOrEqualTo(splice.agreement().error().orElseThrow().median());
    assertThat(rows.get("random").cost().passes()).isZero();
    assertThat(rows.get("random").agreement().precision1().mean()).isLessThan(1);
    assertThat(rows.get("ContextCite-32").agreement().error()).isEmpty();
    assertThat(rows.get("attention").agreement().error()).isEmpty();
    assertThat(rows.get("attention").cost().passes()).isBetween(1.0, 2.0);
    assertThat(rows.get("proxy: exact LOO").cost().passes()).isGreaterThan(1);
    for (Row row : report.rows()) {
      Ablated of = row.ablated().orElseThrow();
      assertThat(of.lds().mean()).isBetween(-1.0, 1.0);
      assertThat(of.bothCopies().mean()).isLessThanOrEqualTo(of.oneCopy().mean());
    }
    Ablated exactly = exact.ablated().orElseThrow();
    assertThat(exactly.lds().mean())
        .isGreaterThan(rows.get("random").ablated().orElseThrow().lds().mean());
    // the most that leaving out one source can do
    assertThat(report.rows())
        .allSatisfy(
            row ->
                assertThat(row.ablated().orElseThrow().drop1().mean())
                    .isLessThanOrEqualTo(exactly.drop1().mean() + 1e-3));
  }

  @Test
  void tablesFiguresAndPictureNameEveryMethodAndItsMeasures() throws IOException {
    FidelityReport report = run();
    assertThat(report.markdown())
        .contains("| splice, w = 16 |", " sources on average", "LDS, 64 masks", "near-duplicates");
    List<String> lines = report.csv().lines().toList();
    assertThat(lines).hasSize(10);
    assertThat(lines.stream().map(line -> line.split(",(?=[^ ]|$)", -1).length).distinct())
        .hasSize(1);
    assertThat(report.plot())
        .startsWith("<svg")
        .contains("exact LOO", "ContextCite-32", "proxy pruning")
        .doesNotContain("BM25"); // no model runs: there is no cost to draw
  }
}
