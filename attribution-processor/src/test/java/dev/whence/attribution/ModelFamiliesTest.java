package dev.whence.attribution;

import static dev.whence.attribution.toy.Conversations.document;
import static dev.whence.attribution.toy.Conversations.instruction;
import static dev.whence.attribution.toy.Conversations.question;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.attribution.toy.Conversations;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Span;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.weights.ModelFiles;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The engine's random models of every family, whose words are t0 to t159. */
class ModelFamiliesTest {
  private static final Path FIXTURES = Path.of("../engine/src/test/resources/fixtures/kernel");

  private static final EngineOptions FP32 =
      EngineOptions.defaults().withDtype(Dtype.FP32).withDevice("cpu");

  /**
   * @param splicedNats mean deviation of splice from exact leave-one-out that is allowed, over the
   *     four sources that are not scored exactly: between what it has here and what it has with the
   *     gap left open (llama2 1.95 and 2.44, llama3 1.49 and 4.11, smollm2 1.01 and 2.42,
   *     llama_biases 1.15 and 2.22, qwen2 0.99 and 5.40, qwen3 0.11 and 0.30, pythia 0.38 and 3.33,
   *     dolly 0.34 and 0.91, neox_serial 0.79 and 1.18; mistral's window ends before them)
   */
  @ParameterizedTest
  @CsvSource({
    "llama2, 2.2",
    "llama3, 2.5",
    "smollm2, 1.6",
    "llama_biases, 1.6",
    "qwen2, 2.3",
    "qwen3, 0.18",
    "mistral, 1e-3",
    "pythia, 1.1",
    "dolly, 0.56",
    "neox_serial, 0.96"
  })
  void cachedScoresAreNaiveScoresWithinAThousandthOfANat(String family, double splicedNats) {
    Conversation conversation = conversation(new Random(family.hashCode()));
    try (LocalScorer scorer =
        LocalScorer.open(ModelFiles.open(FIXTURES.resolve(family)), FP32.withPackTokens(97))) {
      AttributionResult exact = attribute(scorer, "exact-loo", conversation);
      AttributionResult naive = attribute(scorer, "naive-loo", conversation);
      AttributionResult kept = attribute(scorer, "hierarchical", conversation);
      AttributionResult spliced = attribute(scorer, "splice", conversation);
      AttributionResult healed =
          attribute(scorer, MethodOptions.of("splice").withHeal(64), conversation);
      assertThat(exact.status()).isEqualTo(AttributionStatus.SCORED);
      assertThat(exact.sources()).hasSize(8);
      List<Double> far = new ArrayList<>();
      for (int i = 0; i < 8; i++) {
        assertThat(exact.sources().get(i).tau())
            .isCloseTo(naive.sources().get(i).tau(), within(1e-3));
        assertThat(kept.sources().get(i).tau())
            .isCloseTo(naive.sources().get(i).tau(), within(1e-3));
        // Healing reaches the end of the context: the same numbers by another way.
        assertThat(healed.sources().get(i).exact()).isTrue();
        assertThat(healed.sources().get(i).tau())
            .isCloseTo(naive.sources().get(i).tau(), within(1e-3));
        if (!spliced.sources().get(i).exact()) {
          far.add(Math.abs(spliced.sources().get(i).tau() - naive.sources().get(i).tau()));
        }
        assertThat(exact.matrix().get(i).stream().mapToDouble(Double::doubleValue).sum())
            .isCloseTo(exact.sources().get(i).tau(), within(1e-9));
      }
      assertThat(far).hasSize(4);
      assertThat(far.stream().mapToDouble(Double::doubleValue).average().orElseThrow())
          .isLessThan(splicedNats);
      assertThat(exact.groundedness().getAsDouble())
          .isCloseTo(naive.groundedness().getAsDouble(), within(1e-3));
      assertThat(
              exact.sources().stream().mapToDouble(SourceScore::tau).map(Math::abs).max().orElse(0))
          .isGreaterThan(1);
    }
  }

  private static AttributionResult attribute(
      LocalScorer scorer, String method, Conversation conversation) {
    return attribute(scorer, MethodOptions.of(method).withKeepParagraphs(8), conversation);
  }

  private static AttributionResult attribute(
      LocalScorer scorer, MethodOptions method, Conversation conversation) {
    return new Attributor(
            scorer, new AttributionOptions(method, Granularity.SENTENCE, 0, false, ""))
        .attribute(conversation);
  }

  /** Eight spans of five words each, the caller's own. */
  private static Conversation conversation(Random random) {
    StringBuilder context = new StringBuilder();
    Span[] spans = new Span[8];
    for (int i = 0; i < spans.length; i++) {
      int start = context.length();
      context.append(words(random, 5)).append(' ');
      spans[i] = new Span(start, context.length());
    }
    return Conversations.of(
        words(random, 12),
        "length",
        question(words(random, 3) + " "),
        document("d", context.toString(), spans),
        instruction(words(random, 4)));
  }

  private static String words(Random random, int count) {
    List<Integer> ids = IntStream.range(0, count).mapToObj(i -> random.nextInt(160)).toList();
    return ids.stream().map(id -> "t" + id).collect(Collectors.joining(" "));
  }
}
