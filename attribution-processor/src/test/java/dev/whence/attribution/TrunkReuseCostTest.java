package dev.whence.attribution;

import static dev.whence.attribution.toy.Conversations.document;
import static dev.whence.attribution.toy.Conversations.instruction;
import static dev.whence.attribution.toy.Conversations.question;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.attribution.AttributionResult.Cost;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.attribution.toy.Conversations;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Span;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.weights.ModelFiles;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** What a second answer to a prompt costs whose keys and values are still there. */
class TrunkReuseCostTest {
  private static final Path MODEL = Path.of("../engine/src/test/resources/fixtures/kernel/smollm2");
  private static final EngineOptions FP32 =
      EngineOptions.defaults().withDtype(Dtype.FP32).withDevice("cpu");
  private static final String CONTEXT = words(1, 40) + " ";

  /** Another answer of as many words to the same prompt. */
  private static Conversation answered(int number) {
    return Conversations.of(
        words(number, 8),
        "length",
        question(words(2, 4) + " "),
        document("d", CONTEXT, new Span(0, 60), new Span(60, CONTEXT.length())),
        instruction(words(3, 4)));
  }

  private static String words(int seed, int count) {
    return new Random(seed)
        .ints(count, 0, 160)
        .mapToObj(i -> "t" + i)
        .collect(Collectors.joining(" "));
  }

  private static AttributionResult attribute(LocalScorer scorer, Conversation conversation) {
    return new Attributor(
            scorer,
            new AttributionOptions(
                MethodOptions.of("exact-loo"), Granularity.SENTENCE, 0, false, ""))
        .attribute(conversation);
  }

  @Test
  void theTokensThatItTakesOverAreNeitherCountedNorPaidFor() {
    try (LocalScorer caching =
            LocalScorer.open(ModelFiles.open(MODEL), FP32.withTrunkCacheBytes(1 << 22));
        LocalScorer plain = LocalScorer.open(ModelFiles.open(MODEL), FP32)) {
      Cost first = attribute(caching, answered(10)).cost();
      AttributionResult second = attribute(caching, answered(11));
      Cost fresh = attribute(plain, answered(11)).cost();

      int length = second.promptTokens() + second.responseTokens();
      int reused = second.promptTokens() - 1; // the last row gives the answer's first token
      assertThat(caching.trunkReuse().reused()).isEqualTo(reused);
      assertThat(first.trunkTokens()).isEqualTo(length);
      assertThat(fresh.trunkTokens()).isEqualTo(length);
      Cost cost = second.cost();
      assertThat(cost.trunkTokens()).isEqualTo(length - reused);
      assertThat(cost.branchTokens()).isEqualTo(fresh.branchTokens()).isPositive();
      assertThat(cost.passes())
          .isCloseTo((double) (length - reused + cost.branchTokens()) / length, within(1e-12))
          .isCloseTo(fresh.passes() - (double) reused / length, within(1e-12));
      double saved = caching.estimate(reused, 0, List.of()).flops();
      assertThat(saved).isPositive();
      assertThat(cost.flops()).isCloseTo(fresh.flops() - saved, within(1e-9 * fresh.flops()));
    }
  }
}
