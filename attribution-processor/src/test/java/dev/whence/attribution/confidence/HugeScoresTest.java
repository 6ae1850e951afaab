package dev.whence.attribution.confidence;

import static dev.whence.attribution.toy.Conversations.document;
import static dev.whence.attribution.toy.Conversations.question;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.Attributor;
import dev.whence.attribution.confidence.Calibration.Pair;
import dev.whence.attribution.toy.Conversations;
import dev.whence.attribution.toy.ForwardingScorer;
import dev.whence.attribution.toy.ToyTokenizer;
import dev.whence.attribution.toy.ToyTransformer;
import dev.whence.conversation.Conversation;
import dev.whence.engine.Branch;
import dev.whence.engine.Scorer;
import dev.whence.engine.Trunk;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Scores of which the square is more than a double holds. */
class HugeScoresTest {
  private static final double HUGE = 1e200;

  private static final Conversation CONVERSATION =
      Conversations.of(
          "The mat.",
          "stop",
          document("d", "The cat sat. The dog ran. It saw 100 birds. So it goes. "),
          question("Where is the cat?"));

  /** Without a source each token of the response is next to impossible. */
  private static final class Hopeless extends ForwardingScorer {
    Hopeless(Scorer model) {
      super(model);
    }

    @Override
    public List<double[]> score(Trunk trunk, List<Branch> branches) {
      return branches.stream()
          .map(
              branch -> {
                double[] logProbs = new double[branch.scored()];
                Arrays.fill(logProbs, -HUGE);
                return logProbs;
              })
          .toList();
    }
  }

  @Test
  void theirFeaturesAreNumbersAllTheSame() {
    Scorer model = new ToyTransformer(new ToyTokenizer(ToyTokenizer.LLAMA3, 200), 2048, 3);
    AttributionResult result =
        new Attributor(new Hopeless(model), AttributionOptions.DEFAULT).attribute(CONVERSATION);
    double tau = result.responseTokens() * HUGE;
    assertThat(result.sources()).hasSize(4);
    assertThat(result.sources()).extracting(SourceScore::tau).allMatch(t -> t > 0.99 * tau);

    Map<String, Double> features = Features.of(result, CONVERSATION.response());
    assertThat(features.get("largest")).isCloseTo(Math.log(2) + Math.log(tau), within(1e-9));
    assertThat(features.get("relevant")).isEqualTo(3);
    assertThat(features.get("rank-margin")).isZero(); // the fourth is as large as the third
    assertThat(features.get("groundedness")).isCloseTo(Math.log(2 * HUGE), within(1e-9));
    assertThat(Pair.of(features, false, false).features()).doesNotContain(Double.NaN);
  }

  @Test
  void asinhIsTheSameFromEitherSideOfWhereItsFormulaChanges() {
    // Python: math.asinh of each
    assertThat(Features.asinh(1)).isCloseTo(0.881373587019543, within(1e-15));
    assertThat(Features.asinh(-1)).isCloseTo(-0.881373587019543, within(1e-15));
    assertThat(Features.asinh(0.99e8)).isCloseTo(19.103777588658808, within(1e-13));
    assertThat(Features.asinh(1.01e8)).isCloseTo(19.12377825536548, within(1e-13));
    assertThat(Features.asinh(-1e200)).isCloseTo(-461.2101657793691, within(1e-12));
    assertThat(Features.asinh(Double.MAX_VALUE)).isCloseTo(710.4758600739439, within(1e-12));
  }
}
