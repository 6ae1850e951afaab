package dev.whence.benchmarks.fidelity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.benchmarks.RandomWeights;
import dev.whence.benchmarks.Spread;
import dev.whence.benchmarks.fidelity.SpeedReport.Row;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.kernel.Decoder;
import dev.whence.engine.kernel.Sequence;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.samples.BundledModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Seconds of methods in turn: what stands beside what. */
class SpeedBenchTest {
  @TempDir private Path directory;

  @Test
  void everyMethodStandsBesideExactAndNaive() throws IOException {
    Path model = BundledModels.unpack("tiny-chat");
    SpeedReport report = SpeedBench.run(options(model, Optional.empty(), 0, 2), sentence -> {});
    assertThat(report.sources()).isEqualTo(6);
    assertThat(report.naiveSources()).isEqualTo(3);
    assertThat(report.rows())
        .extracting(Row::method)
        .containsExactly(
            "exact LOO",
            "splice, w = 0",
            "splice, w = 16",
            "splice, w = 48",
            "proxy: exact LOO",
            "proxy: splice, w = 16",
            "proxy: paragraph-first splice, K = 3",
            "naive LOO");
    Row exact = report.rows().get(0);
    Row splice = report.rows().get(1);
    Row naive = report.rows().get(7);
    // Six readings, each without one source, and a whole one.
    assertThat(naive.tokens()).isStrictlyBetween(6L * report.tokens(), 7L * report.tokens());
    assertThat(naive.flops()).isGreaterThan(exact.flops());
    assertThat(splice.flops()).isLessThan(exact.flops());
    assertThat(exact.exactOver()).isEmpty();
    assertThat(naive.naiveOver()).isEmpty();
    assertThat(report.rows()).allMatch(row -> row.seconds().runs() == 2 && row.seconds().min() > 0);
    double least = exact.seconds().min() / splice.seconds().max();
    double most = exact.seconds().max() / splice.seconds().min();
    assertThat(splice.exactOver().orElseThrow().median()).isBetween(least, most);
    Row proxied = report.rows().get(5);
    double with = proxied.naiveOver().orElseThrow().max();
    proxied.naiveOverRest().ifPresent(rest -> assertThat(rest.max()).isGreaterThan(with));
    assertThat(splice.naiveOverRest()).isEmpty();
    assertThat(report.markdown()).contains("without the target's own pass");
    assertThat(report.markdown()).contains("| splice, w = 0 | ", "from 3 evenly spaced sources");
  }

  @Test
  void theTargetsOwnPassIsTakenOffRoundByRoundUnlessNothingIsLeft() {
    SpeedBench.Taken naive = new SpeedBench.Taken();
    SpeedBench.Taken proxied = new SpeedBench.Taken();
    for (int round = 0; round < 2; round++) {
      naive.take(1, 1, 100);
      proxied.take(1, 1, 5 + round);
    }
    Spread rest = SpeedBench.ratio(naive, proxied.less(List.of(3.0, 2.0)).orElseThrow()).get();
    assertThat(rest.max()).isEqualTo(50);
    assertThat(rest.min()).isEqualTo(25);
    assertThat(proxied.less(List.of(3.0, 6.5))).isEmpty();
  }

  @Test
  void aResponseOfSoManyTokensTakesThePlaceOfTheInputs() throws IOException {
    Path model = BundledModels.unpack("tiny-chat");
    Path input = directory.resolve("in.jsonl");
    Files.writeString(
        input,
        "{\"responseId\":\"r\",\"messages\":[{\"role\":\"user\",\"content\":[{\"kind\":\"retrieved\","
            + "\"id\":\"d\",\"text\":\"Ann is a baker. Bob is a smith. \"},"
            + "{\"kind\":\"question\",\"text\":\"Who bakes?\"}]}],\"response\":\"Ann.\"}\n");
    SpeedReport own = SpeedBench.run(options(model, Optional.of(input), 0, 1), sentence -> {});
    SpeedReport longer = SpeedBench.run(options(model, Optional.of(input), 30, 1), sentence -> {});
    assertThat(own.sources()).isEqualTo(2);
    assertThat(longer.sources()).isEqualTo(2);
    assertThat(own.responseTokens()).isLessThan(20);
    assertThat(longer.responseTokens()).isBetween(30, 34);
  }

  /** Activations neither vanish nor overflow: a forward takes the usual time. */
  @Test
  void aModelOfRandomWeightsGivesFiniteProbabilities() throws IOException {
    try (ModelFiles files = ModelFiles.open(BundledModels.unpack("tiny-chat"))) {
      ModelConfig config = files.config();
      try (Decoder decoder =
              Decoder.open(
                  config,
                  new RandomWeights(config),
                  EngineOptions.defaults().withDtype(Dtype.FP32));
          Sequence sequence =
              Sequence.run(decoder, IntStream.range(0, 64).map(i -> 3 * i % 50).toArray(), 32)) {
        double[] logProbs = sequence.logProbs();
        assertThat(Arrays.stream(logProbs).average().orElseThrow())
            .isBetween(-2 * Math.log(config.vocabularySize()), -0.5);
        assertThat(Arrays.stream(logProbs).distinct().count()).isGreaterThan(16);
      }
    }
  }

  @Test
  void whatCanNotBeMeasuredIsRefused() {
    Path model = Path.of("m");
    assertThatThrownBy(
            () ->
                new SpeedBench.Options(
                    model,
                    Optional.empty(),
                    1,
                    6,
                    200,
                    0,
                    Dtype.FP32,
                    Optional.of(model),
                    true,
                    5,
                    1,
                    List.of("exact")))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("proxy");
    assertThatThrownBy(
            () ->
                new SpeedBench.Options(
                    model,
                    Optional.empty(),
                    1,
                    1,
                    200,
                    0,
                    Dtype.FP32,
                    Optional.empty(),
                    false,
                    5,
                    1,
                    List.of("exact")))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("2 sources");
  }

  private static SpeedBench.Options options(
      Path model, Optional<Path> input, int responseTokens, int repeat) {
    return new SpeedBench.Options(
        model,
        input,
        1,
        6,
        160,
        responseTokens,
        Dtype.FP32,
        Optional.of(model),
        false,
        3,
        repeat,
        List.of("exact", "splice", "proxy: "));
  }
}
