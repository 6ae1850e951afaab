package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.Branch;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.Generator;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.Trunk;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Every family against Hugging Face transformers in fp32, on committed random models. */
class TransformersFixturesTest {
  private static final double FP32_NATS = 1e-4;

  /**
   * bf16 has 8 significant bits: weights and activations of a model whose log-probabilities spread
   * over 3 nats are off by some 2^-8 of that per layer and product.
   */
  private static final double BF16_MEAN_NATS = 0.1;

  static List<String> families() {
    return Fixture.NAMES;
  }

  private static final EngineOptions FP32 =
      EngineOptions.defaults().withDtype(Dtype.FP32).withDevice("cpu");

  @ParameterizedTest
  @MethodSource("families")
  void logProbabilitiesOfATrunkAreThoseOfTransformers(String family) {
    Fixture fixture = Fixture.read(family);
    try (LocalScorer scorer = LocalScorer.open(fixture.open(), FP32);
        Trunk trunk = scorer.trunk(fixture.ids(), 1)) {
      assertThat(trunk.logProbs()).containsExactly(fixture.logProbs(), within(FP32_NATS));
    }
  }

  @ParameterizedTest
  @MethodSource("families")
  void aTrunkComputedInStretchesIsTheSame(String family) {
    Fixture fixture = Fixture.read(family);
    try (LocalScorer scorer = LocalScorer.open(fixture.open(), FP32.withPackTokens(7));
        Trunk trunk = scorer.trunk(fixture.ids(), 20)) {
      assertThat(trunk.logProbs())
          .containsExactly(
              Arrays.copyOfRange(fixture.logProbs(), 19, fixture.logProbs().length),
              within(FP32_NATS));
    }
  }

  @ParameterizedTest
  @MethodSource("families")
  void leavingTokensOutByBranchesIsTransformersWithoutThem(String family) {
    Fixture fixture = Fixture.read(family);
    List<Branch> branches = fixture.ablations().stream().map(fixture::branch).toList();
    try (LocalScorer scorer = LocalScorer.open(fixture.open(), FP32);
        Trunk trunk = scorer.trunk(fixture.ids(), fixture.ids().length)) {
      List<double[]> scores = scorer.score(trunk, branches);
      for (int i = 0; i < branches.size(); i++) {
        assertThat(scores.get(i))
            .containsExactly(fixture.ablations().get(i).logProbs(), within(FP32_NATS));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("families")
  void bf16StaysWithinItsBound(String family) {
    Fixture fixture = Fixture.read(family);
    EngineOptions bf16 = EngineOptions.defaults().withDtype(Dtype.BF16).withDevice("cpu");
    try (LocalScorer scorer = LocalScorer.open(fixture.open(), bf16);
        Trunk trunk = scorer.trunk(fixture.ids(), 1)) {
      double[] scores = trunk.logProbs();
      double sum = 0;
      for (int i = 0; i < scores.length; i++) {
        sum += Math.abs(scores[i] - fixture.logProbs()[i]);
      }
      assertThat(sum / scores.length).isLessThan(BF16_MEAN_NATS);
    }
  }

  @ParameterizedTest
  @MethodSource("families")
  void greedyGenerationIsThatOfTransformers(String family) {
    Fixture fixture = Fixture.read(family);
    int[] prompt = Arrays.copyOf(fixture.ids(), fixture.greedyPrompt());
    try (LocalScorer scorer = LocalScorer.open(fixture.open(), FP32.withPackTokens(5))) {
      int[] expected = fixture.greedy();
      Generator generator = new Generator(scorer);
      assertThat(generator.generate(prompt, expected.length, Set.of())).isEqualTo(expected);
      int end = expected[3];
      int first = 0;
      while (expected[first] != end) {
        first++;
      }
      assertThat(generator.generate(prompt, expected.length, Set.of(end)))
          .isEqualTo(Arrays.copyOf(expected, first + 1));
    }
  }
}
