package dev.whence.attribution;

import static dev.whence.attribution.toy.Conversations.document;
import static dev.whence.attribution.toy.Conversations.question;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.attribution.method.MethodOptions;
import dev.whence.attribution.toy.Conversations;
import dev.whence.attribution.toy.ForwardingScorer;
import dev.whence.attribution.toy.ToyTokenizer;
import dev.whence.attribution.toy.ToyTransformer;
import dev.whence.attribution.toy.WatchedTokenizer;
import dev.whence.conversation.Conversation;
import dev.whence.engine.Branch;
import dev.whence.engine.Scorer;
import dev.whence.engine.WorkEstimate;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What an attribution costs, and what is refused because it would cost too much. */
class AttributorCostTest extends ToyAttribution {
  @Test
  void boundsThatMakeNoSenseAreRefusedAtTheStart() {
    assertThatThrownBy(() -> new Attributor(scorer, bound("exact-loo", Double.NaN)))
        .hasMessageContaining("the maximal cost is NaN");
    assertThatThrownBy(() -> MethodOptions.of("exact-loo").withKeepParagraphs(0))
        .hasMessageContaining("keepParagraphs");
  }

  @Test
  void aPromptPastTheWindowIsUnsupportedWithTheSizes() {
    ToyTransformer small = new ToyTransformer(scorer.tokenizer(), 20, 3);
    AttributionResult result =
        new Attributor(small, AttributionOptions.DEFAULT).attribute(CONVERSATION);
    assertThat(result.status()).isEqualTo(AttributionStatus.UNSUPPORTED);
    assertThat(result.reasonCode()).isEqualTo("PROMPT_TOO_LONG");
    int prompt = attribute(CONVERSATION).promptTokens();
    assertThat(result.reason()).contains(" " + prompt + " tokens").contains(" 20 tokens");
    assertThat(small.tokensRun).isZero();
  }

  @Test
  void aPromptThatCanNotFitWhateverItsTokensIsRefusedUnread() {
    WatchedTokenizer tokenizer = new WatchedTokenizer(16);
    Conversation digits =
        Conversations.of(
            ANSWER, "stop", document("d", "7".repeat(8 << 20)), question("Which digit?"));
    AttributionResult result =
        new Attributor(new ToyTransformer(tokenizer, 4096, 3), AttributionOptions.DEFAULT)
            .attribute(digits);
    assertThat(result.status()).isEqualTo(AttributionStatus.UNSUPPORTED);
    assertThat(result.reasonCode()).isEqualTo("PROMPT_TOO_LONG");
    assertThat(result.reason())
        .contains("8388") // characters
        .contains(" 4096 tokens, of which the longest has 16 characters");
    assertThat(tokenizer.characters()).isZero();
  }

  @Test
  void aPromptOfManyTokensIsRefusedAfterTwiceTheWindow() {
    WatchedTokenizer tokenizer = new WatchedTokenizer(Integer.MAX_VALUE);
    ToyTransformer model = new ToyTransformer(tokenizer, 50_000, 3);
    String digits = "7".repeat(8 << 20);
    for (Conversation conversation :
        List.of(
            Conversations.of(ANSWER, "stop", document("d", digits), question("Which digit?")),
            Conversations.of(digits, "stop", CONTEXT))) {
      AttributionResult result =
          new Attributor(model, AttributionOptions.DEFAULT).attribute(conversation);
      assertThat(result.reasonCode()).isEqualTo("PROMPT_TOO_LONG");
      assertThat(result.reason()).contains("has over 100000 tokens").contains("window of 50000");
      assertThat(tokenizer.largest()).isLessThan(100_000);
      assertThat(tokenizer.characters()).isLessThan(500_000);
    }
  }

  @Test
  void aPromptJustPastTheWindowIsCountedByItsTokens() {
    WatchedTokenizer tokenizer = new WatchedTokenizer(16);
    AttributionResult result =
        new Attributor(new ToyTransformer(tokenizer, 10_000, 3), AttributionOptions.DEFAULT)
            .attribute(Conversations.of("7", "", document("d", "7".repeat(15_000))));
    assertThat(result.reason()).matches("The prompt of 150\\d\\d tokens and the response of 1 .*");
  }

  /** Each call has its packs to itself, and those of a single branch leave cores idle. */
  @ParameterizedTest
  @CsvSource({
    "exact-loo, 1",
    "naive-loo, 1",
    "splice, 1",
    "cascade, 2",
    "paragraph-splice, 2",
    "hierarchical, 2"
  })
  void theReadingWithoutContextSharesACallWithThoseOfSources(String method, int calls) {
    CountingScorer counting = new CountingScorer(scorer);
    AttributionOptions options =
        new AttributionOptions(MethodOptions.of(method), Granularity.SENTENCE, 0, false, "");
    Conversation two =
        Conversations.of(
            "It.",
            "stop",
            document("d", "The cat sat. It ran. So did I.\n\nWe saw it. They came too."),
            question("Where?"));
    AttributionResult result = new Attributor(counting, options).attribute(two);
    assertThat(result.status()).isEqualTo(AttributionStatus.SCORED);
    assertThat(result.logLikelihoodWithoutContext()).isPresent();
    assertThat(counting.calls).isEqualTo(calls);
  }

  @Test
  void overTheCostBoundParagraphsAreSplicedFirstAndThenNothing() {
    Conversation many =
        Conversations.of(
            "It.",
            "stop",
            document("d", "The cat sat. It ran. So did I. We saw it.\n\n".repeat(12)),
            question("Where?"));
    CountingScorer counting = new CountingScorer(scorer);
    double exact = new Attributor(counting, bound("exact-loo", 0)).estimate(many).seconds();
    double cheaper =
        new Attributor(counting, bound("paragraph-splice", 0)).estimate(many).seconds();
    assertThat(cheaper).isLessThan(exact / 2);

    AttributionResult result =
        new Attributor(counting, bound("exact-loo", exact * 1.01)).attribute(many);
    assertThat(result.method()).isEqualTo("exact-loo");

    Attributor bounded = new Attributor(counting, bound("exact-loo", cheaper * 1.01));
    result = bounded.attribute(many);
    assertThat(result.status()).isEqualTo(AttributionStatus.SCORED);
    assertThat(result.method()).isEqualTo("paragraph-splice");
    assertThat(result.reasonCode()).isEqualTo("COST_BOUNDED");
    assertThat(bounded.estimate(many).seconds()).isCloseTo(cheaper, within(1e-9));

    long before = counting.tokens;
    result = new Attributor(counting, bound("exact-loo", cheaper / 2)).attribute(many);
    assertThat(result.status()).isEqualTo(AttributionStatus.UNSUPPORTED);
    assertThat(result.reasonCode()).isEqualTo("COST_OVER_BOUND");
    assertThat(result.reason())
        .contains(String.format(Locale.ROOT, "%.1f s", exact))
        .contains(String.format(Locale.ROOT, "%.1f s", cheaper));
    assertThat(counting.tokens).isEqualTo(before);
  }

  @Test
  void theEstimateIsCloseToWhatIsSpent() {
    Attributor attributor = new Attributor(scorer, AttributionOptions.DEFAULT);
    AttributionResult result = attributor.attribute(CONVERSATION);
    long spent = result.cost().trunkTokens() + result.cost().branchTokens();
    assertThat(attributor.estimate(CONVERSATION).tokens())
        .isBetween(Math.round(spent * 0.95), Math.round(spent * 1.05));
    assertThat(attributor.estimate(Conversations.of("", "length", CONTEXT)).tokens()).isZero();
  }

  @ParameterizedTest
  @ValueSource(strings = {"exact-loo", "splice"})
  void ofManySourcesSomeAreLaidOutAndTheEstimateIsThatOfAll(String method) {
    AtomicInteger laidOut = new AtomicInteger();
    Scorer counting =
        new ForwardingScorer(new ToyTransformer(scorer.tokenizer(), 50_000, 3)) {
          @Override
          public WorkEstimate estimate(int trunkTokens, int trunkScored, List<Branch> branches) {
            laidOut.addAndGet(branches.size());
            return super.estimate(trunkTokens, trunkScored, branches);
          }
        };
    Attributor attributor = new Attributor(counting, bound(method, 0));
    // A prompt of n sentences costs a n^2 + b n + c: three small ones say what a large one costs.
    double[] at = {100, 300, 500};
    double[] costs = new double[at.length];
    for (int i = 0; i < at.length; i++) {
      costs[i] = attributor.estimate(ofSentences((int) at[i])).flops();
    }
    laidOut.set(0);
    double n = 2000;
    double expected = 0;
    for (int i = 0; i < at.length; i++) {
      double weight = 1;
      for (int j = 0; j < at.length; j++) {
        weight *= i == j ? 1 : (n - at[j]) / (at[i] - at[j]);
      }
      expected += weight * costs[i];
    }
    double estimated = attributor.estimate(ofSentences((int) n)).flops();
    assertThat(estimated / expected).isBetween(0.95, 1.05);
    assertThat(laidOut.get()).isBetween(500, 600);
  }

  private static Conversation ofSentences(int n) {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < n; i++) {
      text.append("It sat. ");
    }
    return Conversations.of("It.", "stop", document("d", text.toString()), question("Where?"));
  }

  @Test
  void moreScoresThanAResultCanHoldAreRefusedBeforeTheModelRuns() {
    ToyTransformer wide =
        new ToyTransformer(new ToyTokenizer(ToyTokenizer.LLAMA3, 200), 200_000, 3);
    AttributionResult result =
        new Attributor(wide, AttributionOptions.DEFAULT)
            .attribute(
                Conversations.of(
                    "It ran. ".repeat(2000),
                    "stop",
                    document("d", "The cat sat. ".repeat(2100)),
                    question("Where?")));
    assertThat(result.reasonCode()).isEqualTo("MATRIX_TOO_LARGE");
    assertThat(result.reason()).contains("2100 sources times 2000 statements");
    assertThat(wide.tokensRun).isZero();
  }

  @Test
  void whatTheModelRanIsSaidWhereThereIsNoResult() {
    AttributionResult result =
        attribute(Conversations.raw("So.", document("a", "The cat sat on the mat. ")));
    assertThat(result.status()).isEqualTo(AttributionStatus.UNSUPPORTED);
    assertThat(result.cost().trunkTokens()).isPositive();
    assertThat(result.cost().flops()).isPositive();
  }
}
