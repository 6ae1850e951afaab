package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.engine.Branch;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.View;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.ModelFiles;
import java.util.List;
import java.util.Optional;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The fixtures notice what is wrong: each deliberate mistake moves a log-probability by more than a
 * hundred times the fixtures' tolerance.
 */
class KernelMutationTest {
  private static final double NOTICED_NATS = 1e-2;
  private static final EngineOptions FP32 =
      EngineOptions.defaults().withDtype(Dtype.FP32).withDevice("cpu");

  @ParameterizedTest(name = "{0}: {1}")
  @CsvSource(
      delimiter = '|',
      value = {
        "llama2  | interleaved RoPE  | torch.clone(torch.transpose(halves, 1, 2)) | halves",
        "pythia  | interleaved RoPE  | torch.clone(torch.transpose(halves, 1, 2)) | halves",
        "llama3  | not turned        | torch.view_as_complex(pairs) * turn |"
            + " torch.view_as_complex(pairs) * torch.conj(turn) * turn",
        "llama3  | queries turned the other way | queries.append(self.rotate(q, turn)) |"
            + " queries.append(self.rotate(q, torch.conj(turn)))",
        "smollm2 | swapped KV heads  | torch.transpose(keys[j], 1, 2) |"
            + " torch.transpose(torch.flip(keys[j], [0]), 1, 2)",
        "mistral | swapped values    | 2, at, length), value) |"
            + " 2, at, length), torch.flip(value, [0]))",
        "qwen2   | scale             | 1.0 / torch.sqrt(d) | 0.9 / torch.sqrt(d)",
        "qwen2   | bias              | torch.numel(bias) > 0 | torch.numel(bias) > 1000000",
        "llama_biases | bias         | torch.numel(bias) > 0 | torch.numel(bias) > 1000000",
        "pythia  | bias              | torch.numel(bias) > 0 | torch.numel(bias) > 1000000",
        "qwen3   | head norm         | torch.numel(weight) > 0 | torch.numel(weight) > 1000000",
        "neox_serial | parallel residual | shape[3] == 1 | shape[3] == 0",
        "pythia  | serial residual   | shape[3] == 1 | shape[3] == 0",
        "dolly   | serial residual   | shape[3] == 1 | shape[3] == 0",
        "dolly   | rest of a head lost | torch.narrow(x, 2, 2 * f, rest)] |"
            + " 0.5 * torch.narrow(x, 2, 2 * f, rest)]",
        "llama2  | no causal mask    | if rows > 1: | if rows > 1000000:",
      })
  void aWrongKernelIsNoticed(String family, String mistake, String right, String wrong) {
    assertThat(deviation(family, source -> replaced(source, right, wrong), config -> config))
        .as(mistake)
        .isGreaterThan(NOTICED_NATS);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "llama2  | no causal mask    | 0., True | 0., False",
        "smollm2 | swapped KV heads  | torch.expand(torch.unsqueeze(k, 1), shape) |"
            + " torch.expand(torch.unsqueeze(torch.flip(k, [0]), 1), shape)",
        "smollm2 | swapped values    | torch.expand(torch.unsqueeze(v, 1), shape) |"
            + " torch.expand(torch.unsqueeze(torch.flip(v, [0]), 1), shape)",
        "smollm2 | heads of a group swapped | [rows, kv, -1, d]), torch.permute(o, [2, 0, 1, 3]) |"
            + " [rows, kv, -1, d]), torch.permute(torch.flip(o, [1]), [2, 0, 1, 3])",
      })
  void aWrongFusedKernelIsNoticed(String family, String mistake, String right, String wrong) {
    assertThat(fusedDeviation(family, source -> replaced(source, right, wrong)))
        .as(mistake)
        .isGreaterThan(NOTICED_NATS);
  }

  @ParameterizedTest
  @MethodSource("families")
  void theFusedKernelIsNotNoticed(String family) {
    assertThat(fusedDeviation(family, s -> s)).isLessThan(1e-4);
  }

  static List<String> families() {
    return Fixture.NAMES;
  }

  private static double fusedDeviation(String family, UnaryOperator<String> mutation) {
    Fixture fixture = Fixture.read(family);
    try (ModelFiles files = fixture.open();
        Decoder decoder = open(files, mutation, files.config(), AttentionForm.FUSED);
        Sequence trunk = Sequence.run(decoder, fixture.ids(), 1)) {
      return largest(trunk.logProbs(), fixture.logProbs());
    }
  }

  @ParameterizedTest
  @CsvSource({"llama2", "qwen2", "pythia"})
  void aWrongEpsilonIsNoticed(String family) {
    // the fixtures' own is 1e-3
    assertThat(deviation(family, s -> s, c -> with(c, 1e-1, c.slidingWindow())))
        .isGreaterThan(NOTICED_NATS);
  }

  @Test
  void aSlidingWindowThatIsIgnoredIsNoticed() {
    assertThat(deviation("mistral", s -> s, c -> with(c, c.normEpsilon(), 0)))
        .isGreaterThan(NOTICED_NATS);
  }

  @Test
  void theUnchangedKernelIsNotNoticed() {
    assertThat(deviation("llama2", s -> s, c -> c)).isLessThan(1e-4);
  }

  @ParameterizedTest
  @CsvSource({"llama2", "llama3", "smollm2", "qwen2", "qwen3", "mistral", "pythia", "dolly"})
  void aGapLeftOpenIsNoticed(String family) {
    Fixture fixture = Fixture.read(family);
    try (ModelFiles files = fixture.open();
        Decoder decoder = Decoder.open(files.config(), files.weights(), FP32);
        Sequence trunk = Sequence.run(decoder, fixture.ids(), 1)) {
      Fixture.Ablation ablation = fixture.ablations().get(2);
      Branch closed = fixture.branch(ablation);
      int gap = ablation.to() - ablation.from();
      int[] stay = IntStream.of(closed.positions()).map(p -> p + gap).toArray();
      Branch open = new Branch(closed.views(), closed.tokens(), stay, closed.scoredFrom());
      double[] scores = trunk.score(decoder, List.of(open)).get(0);
      assertThat(largest(scores, ablation.logProbs())).isGreaterThan(NOTICED_NATS);
    }
  }

  /** Queries that ignore the shift of a view; keys between two views that are seen. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "narrow(queries[plan[at]] | narrow(queries[0]",
        "hidden[holes], -inf | hidden[holes], 0"
      })
  void aSpliceThatSeesOtherKeysIsNoticed(String right, String wrong) {
    Fixture fixture = Fixture.read("llama2");
    Branch splice = splice(fixture);
    assertThat(
            largest(
                spliced(fixture, splice, s -> replaced(s, right, wrong)),
                spliced(fixture, splice, s -> s)))
        .isGreaterThan(NOTICED_NATS);
  }

  /** Parts of a row's keys that are merged; what stands between two views and is seen. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "narrow(queries[plan[at]] | narrow(queries[0]",
        "torch.softmax(torch.stack(sums), 0) | torch.softmax(torch.stack(sums) * 0.5, 0)",
        "torch.numel(mask) > 0 | 1 == 0"
      })
  void aFusedSpliceThatIsMergedWronglyIsNoticed(String right, String wrong) {
    Fixture fixture = Fixture.read("llama2");
    Branch splice = healed(fixture);
    assertThat(
            largest(
                spliced(fixture, splice, s -> replaced(s, right, wrong), AttentionForm.FUSED),
                spliced(fixture, splice, s -> s, AttentionForm.PRODUCTS)))
        .isGreaterThan(NOTICED_NATS);
  }

  @ParameterizedTest
  @CsvSource({"llama2", "smollm2", "qwen3", "pythia", "dolly"})
  void bothFormsOfAttentionScoreTheSame(String family) {
    Fixture fixture = Fixture.read(family);
    for (Branch branch : List.of(splice(fixture), healed(fixture))) {
      assertThat(
              largest(
                  spliced(fixture, branch, s -> s, AttentionForm.FUSED),
                  spliced(fixture, branch, s -> s, AttentionForm.PRODUCTS)))
          .isLessThan(1e-5);
    }
  }

  /** Products that are written side by side are those of joined keys and values. */
  @ParameterizedTest
  @CsvSource({"llama2", "smollm2", "pythia"})
  void rangesApartAndRangesJoinedScoreTheSame(String family) {
    Fixture fixture = Fixture.read(family);
    Branch splice = splice(fixture);
    double[] apart = spliced(fixture, splice, s -> s);
    double[] joined =
        spliced(fixture, splice, s -> replaced(s, "ops.prim.dtype(keys[0]) == 6", "1 == 0"));
    double[] joinedToo =
        spliced(fixture, splice, s -> replaced(s, "ops.prim.dtype(weights) == 6", "1 == 0"));
    assertThat(largest(joined, apart)).isLessThan(1e-5);
    assertThat(largest(joinedToo, apart)).isLessThan(1e-5);
  }

  /** Three views, two of which share a shift and leave a hole: ranges of two groups. */
  private static Branch splice(Fixture fixture) {
    int[] own = IntStream.range(40, fixture.ids().length).toArray();
    return new Branch(
        List.of(new View(0, 10, 0), new View(20, 27, 10), new View(30, 40, 10)),
        IntStream.of(own).map(i -> fixture.ids()[i]).toArray(),
        IntStream.of(own).map(i -> i - 10).toArray(),
        1);
  }

  /** As a splice that heals some tokens: a run of its own, further on a tail that sees them. */
  private static Branch healed(Fixture fixture) {
    int healed = AttentionPlan.SHORT_ROWS + 1; // shares no block
    int from = healed + 12;
    int[] own =
        IntStream.concat(
                IntStream.range(10, 10 + healed), IntStream.range(from, fixture.ids().length))
            .toArray();
    return new Branch(
        List.of(new View(0, 5, 0), new View(10 + healed, from, 5)),
        IntStream.of(own).map(i -> fixture.ids()[i]).toArray(),
        IntStream.of(own).map(i -> i - 5).toArray(),
        healed + 1);
  }

  private static double[] spliced(Fixture fixture, Branch branch, UnaryOperator<String> mutation) {
    return spliced(fixture, branch, mutation, AttentionForm.PRODUCTS);
  }

  private static double[] spliced(
      Fixture fixture, Branch branch, UnaryOperator<String> mutation, AttentionForm form) {
    try (ModelFiles files = fixture.open();
        Decoder decoder = open(files, mutation, files.config(), form);
        Sequence trunk = Sequence.run(decoder, fixture.ids(), fixture.ids().length)) {
      return trunk.score(decoder, List.of(branch)).get(0);
    }
  }

  /** How far a mutated kernel or configuration is from the fixture, at most. */
  private static double deviation(
      String family, UnaryOperator<String> mutation, UnaryOperator<ModelConfig> configMutation) {
    Fixture fixture = Fixture.read(family);
    try (ModelFiles files = fixture.open();
        Decoder decoder = open(files, mutation, configMutation.apply(files.config()));
        Sequence trunk = Sequence.run(decoder, fixture.ids(), 1)) {
      return largest(trunk.logProbs(), fixture.logProbs());
    }
  }

  private static Decoder open(
      ModelFiles files, UnaryOperator<String> mutation, ModelConfig config) {
    return open(files, mutation, config, AttentionForm.PRODUCTS);
  }

  private static Decoder open(
      ModelFiles files, UnaryOperator<String> mutation, ModelConfig config, AttentionForm form) {
    KernelText text = new KernelText(mutation.apply(Decoder.text(config).source()));
    return Decoder.open(
        config,
        files.weights(),
        FP32,
        text,
        AttentionPlan.BLOCK_ROWS,
        Optional.of(form),
        Optional.empty());
  }

  private static String replaced(String source, String right, String wrong) {
    assertThat(source).contains(right);
    return source.replace(right, wrong);
  }

  private static double largest(double[] a, double[] b) {
    return IntStream.range(0, a.length).mapToDouble(i -> Math.abs(a[i] - b[i])).max().orElseThrow();
  }

  private static ModelConfig with(ModelConfig c, double epsilon, int window) {
    return new ModelConfig(
        c.modelType(),
        c.vocabularySize(),
        c.hiddenSize(),
        c.layers(),
        c.heads(),
        c.keyValueHeads(),
        c.headDim(),
        c.intermediateSize(),
        epsilon,
        c.activation(),
        c.rotary(),
        c.maxPositions(),
        window,
        c.tiedEmbeddings(),
        c.qkvBias(),
        c.outputBias(),
        c.mlpBias(),
        c.queryKeyNorm(),
        c.parallelResidual(),
        c.beginToken(),
        c.endTokens());
  }
}
