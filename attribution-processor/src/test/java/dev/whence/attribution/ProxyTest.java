package dev.whence.attribution;

import static dev.whence.attribution.toy.Conversations.document;
import static dev.whence.attribution.toy.Conversations.instruction;
import static dev.whence.attribution.toy.Conversations.question;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.attribution.toy.AsciiTokenizer;
import dev.whence.attribution.toy.Conversations;
import dev.whence.attribution.toy.OtherScorer;
import dev.whence.attribution.toy.ToyTokenizer;
import dev.whence.attribution.toy.ToyTransformer;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Span;
import dev.whence.engine.Scorer;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** A smaller model in front: other weights, another tokenizer. */
class ProxyTest {
  private static final String CONTEXT =
      "The cat sat on the mat. The dog ran. It saw 100 birds. The mat was red.\n\n"
          + "Paris is the capital of France. Berlin is not. So it goes.";

  private final ToyTransformer target =
      new ToyTransformer(new ToyTokenizer(ToyTokenizer.LLAMA3, 200), 4096, 7);

  private final ToyTransformer smaller =
      new ToyTransformer(new ToyTokenizer(ToyTokenizer.GPT2, 60), 4096, 21);
  private final Scorer proxy = new OtherScorer(smaller, "small", smaller.tokenizer());

  private static Conversation about(String context, Span... spans) {
    return Conversations.of(
        "The cat. It is on the mat.",
        "stop",
        instruction("Answer.\n\n"),
        document("d", context, spans),
        question("\n\nWhere is the cat?"));
  }

  private static AttributionOptions options(MethodOptions method) {
    return new AttributionOptions(method, Granularity.SENTENCE, 0, false, "");
  }

  private AttributionResult attribute(MethodOptions method, Conversation conversation) {
    return new Attributor(target, Optional.of(proxy), options(method), NoiseFloor.FP32)
        .attribute(conversation);
  }

  private AttributionResult alone(Scorer scorer, Conversation conversation) {
    return new Attributor(scorer, options(MethodOptions.of("exact-loo"))).attribute(conversation);
  }

  @Test
  void theProxyScoresTheSourcesAndTheTargetTheResponse() {
    AttributionResult result = attribute(MethodOptions.of("proxy"), about(CONTEXT));
    AttributionResult expected = alone(proxy, about(CONTEXT));
    AttributionResult exact = alone(target, about(CONTEXT));
    assertThat(result.method()).isEqualTo("proxy");
    assertThat(result.sources()).hasSameSizeAs(exact.sources());
    for (int i = 0; i < result.sources().size(); i++) {
      SourceScore source = result.sources().get(i);
      assertThat(source.tau()).isCloseTo(expected.sources().get(i).tau(), within(1e-9));
      assertThat(source.scorer()).isEqualTo("small");
      assertThat(source.method()).isEqualTo("exact-loo");
      assertThat(source.exact()).isFalse();
    }
    assertThat(result.logLikelihood()).isEqualTo(exact.logLikelihood());
    assertThat(result.groundedness().getAsDouble())
        .isCloseTo(exact.groundedness().getAsDouble(), within(1e-9));
    assertThat(result.scorer().model()).isEqualTo("toy");
    assertThat(result.tokens()).isEqualTo(exact.tokens());
    assertThat(result.promptTokens()).isEqualTo(exact.promptTokens());
    assertThat(target.trunksOpen + smaller.trunksOpen).isZero();
  }

  @Test
  void theProxysOwnMethodCanBeChosen() {
    AttributionResult splice =
        attribute(MethodOptions.of("proxy").withOfProxy("splice"), about(CONTEXT));
    assertThat(splice.sources()).extracting(SourceScore::method).contains("splice");
    assertThatThrownBy(
            () -> attribute(MethodOptions.of("proxy").withOfProxy("proxy"), about(CONTEXT)))
        .hasMessageContaining("can not score with the method 'proxy'");
    for (String ranks : List.of("attention", "contextcite", "gradient-norm", "similarity")) {
      assertThatThrownBy(
              () -> attribute(MethodOptions.of("proxy-pruning").withOfProxy(ranks), about(CONTEXT)))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("can not score with the method '" + ranks + "'")
          .hasMessageContaining("'proxy-pruning' are nats");
    }
  }

  @Test
  void theNoiseIsThatOfTheScoresThatHaveMostOfIt() {
    Attributor exact = new Attributor(target, options(MethodOptions.of("exact-loo")));
    AttributionResult fast = exact.attribute(about(CONTEXT));
    SourcePlace first = new SourcePlace("d", fast.sources().get(0).span());
    for (NoiseFloor floor : List.of(NoiseFloor.BF16, new NoiseFloor(1e-9))) {
      AttributionResult result =
          exact.attribute(
              exact.read(
                  about(CONTEXT),
                  new EarlierScores(
                      fast.sources(), fast.matrix(), Set.of(first), Optional.of(floor))));
      assertThat(result.method()).isEqualTo("proxy-pruning");
      assertThat(result.noiseFloor())
          .hasValue(floor.orLarger(NoiseFloor.FP32).nats(result.responseTokens()));
    }
  }

  @Test
  void pruningLeavesTheTopOfTheProxyToTheTargetInAPromptWithoutTheRest() {
    int keep = 3;
    AttributionResult result =
        attribute(MethodOptions.of("proxy-pruning").withExactTop(keep), about(CONTEXT));
    AttributionResult ranked = alone(proxy, about(CONTEXT));
    List<Integer> top =
        IntStream.range(0, ranked.sources().size())
            .boxed()
            .sorted(Comparator.comparingDouble(i -> -ranked.sources().get(i).tau()))
            .limit(keep)
            .sorted()
            .toList();
    // The same prompt with the other sentences deleted from it.
    StringBuilder pruned = new StringBuilder(CONTEXT);
    for (int i = ranked.sources().size() - 1; i >= 0; i--) {
      if (!top.contains(i)) {
        Span span = ranked.sources().get(i).span();
        pruned.delete(span.start(), span.end());
      }
    }
    AttributionResult reference = alone(target, about(pruned.toString()));
    assertThat(reference.sources()).hasSize(keep);
    for (int i = 0; i < ranked.sources().size(); i++) {
      SourceScore source = result.sources().get(i);
      assertThat(source.exact()).isFalse();
      if (top.contains(i)) {
        assertThat(source.tau())
            .isCloseTo(reference.sources().get(top.indexOf(i)).tau(), within(1e-9));
        assertThat(source.scorer()).isEqualTo("toy");
        assertThat(source.context()).isEqualTo("pruned");
        assertThat(source.method()).isEqualTo("proxy-pruning");
      } else {
        assertThat(source.tau()).isCloseTo(ranked.sources().get(i).tau(), within(1e-9));
        assertThat(source.scorer()).isEqualTo("small");
        assertThat(source.context()).isEqualTo("full");
      }
    }
    assertThat(result.logLikelihood()).isEqualTo(alone(target, about(CONTEXT)).logLikelihood());
  }

  @Test
  void whereNothingIsPrunedTheScoresAreExactAndThePromptIsReadOnce() {
    AttributionResult exact = alone(target, about(CONTEXT));
    int sources = exact.sources().size();
    for (int keep : new int[] {sources, sources + 1}) {
      MethodOptions method = MethodOptions.of("proxy-pruning").withExactTop(keep);
      AttributionResult result = attribute(method, about(CONTEXT));
      assertThat(result.method()).isEqualTo("proxy-pruning");
      assertThat(result.matrix()).isEqualTo(exact.matrix());
      assertThat(result.sources())
          .allMatch(SourceScore::exact)
          .allMatch(source -> source.context().equals("full"))
          .allMatch(source -> source.scorer().equals("toy"));
      AttributionResult pruned = attribute(method.withExactTop(sources - 1), about(CONTEXT));
      assertThat(result.cost().trunkTokens())
          .isLessThan(pruned.cost().trunkTokens() - exact.cost().trunkTokens() / 2);
    }
  }

  @Test
  void costsAreInPassesOfTheTargetAndTheProxysAreAmongThem() {
    AttributionResult result = attribute(MethodOptions.of("proxy"), about(CONTEXT));
    AttributionResult expected = alone(proxy, about(CONTEXT));
    double ownTokens = result.cost().trunkTokens() + result.cost().branchTokens();
    double own = ownTokens / (result.promptTokens() + result.responseTokens());
    assertThat(own).isBetween(1.0, 2.0);
    assertThat(result.cost().passes())
        .isCloseTo(
            own
                + expected.cost().flops()
                    / target
                        .estimate(
                            result.promptTokens() + result.responseTokens(),
                            result.responseTokens(),
                            List.of())
                        .flops(),
            within(1e-9));
    assertThat(result.cost().flops()).isGreaterThan(expected.cost().flops());
  }

  @Test
  void aProxyThatDoesNotReadTheTextSaysSo() {
    Conversation greek =
        about("\u0397 \u03b3\u03ac\u03c4\u03b1 \u03ba\u03ac\u03b8\u03b5\u03c4\u03b1\u03b9.");
    Scorer asciiOnly = new OtherScorer(smaller, "ascii", new AsciiTokenizer(smaller.tokenizer()));
    AttributionResult result =
        new Attributor(
                target, Optional.of(asciiOnly), options(MethodOptions.of("proxy")), NoiseFloor.FP32)
            .attribute(greek);
    assertThat(result.status()).isEqualTo(AttributionStatus.UNSUPPORTED);
    assertThat(result.reasonCode()).isEqualTo("PROXY_CANNOT_READ");
    assertThat(attribute(MethodOptions.of("proxy"), greek).status())
        .isEqualTo(AttributionStatus.SCORED);
  }

  @Test
  void aProxyThatCanNotReadOneSourceOfManySaysSo() {
    String english = CONTEXT.repeat(5);
    String greek = "\u03b3\u03ac\u03c4\u03b1";
    Conversation oneInGreek =
        about(
            english + greek,
            new Span(0, english.length()),
            new Span(english.length(), english.length() + greek.length()));
    Scorer asciiOnly = new OtherScorer(smaller, "ascii", new AsciiTokenizer(smaller.tokenizer()));
    AttributionResult result =
        new Attributor(
                target, Optional.of(asciiOnly), options(MethodOptions.of("proxy")), NoiseFloor.FP32)
            .attribute(oneInGreek);
    assertThat(result.reasonCode()).isEqualTo("PROXY_CANNOT_READ");
  }

  @Test
  void aProxyWhoseWindowIsTooShortSaysSo() {
    Scorer brief = new ToyTransformer(new ToyTokenizer(ToyTokenizer.GPT2, 60), 20, 21);
    AttributionResult result =
        new Attributor(
                target, Optional.of(brief), options(MethodOptions.of("proxy")), NoiseFloor.FP32)
            .attribute(about(CONTEXT));
    assertThat(result.reasonCode()).isEqualTo("PROXY_PROMPT_TOO_LONG");
    assertThat(result.reason()).contains("window of 20 tokens");
  }

  @Test
  void aMethodWithAProxyNeedsOne() {
    assertThatThrownBy(() -> new Attributor(target, options(MethodOptions.of("proxy-pruning"))))
        .hasMessage("the method 'proxy-pruning' needs a proxy model");
  }

  @Test
  void whatItCostsIsKnownBefore() {
    for (String method : List.of("proxy", "proxy-pruning")) {
      Attributor attributor =
          new Attributor(
              target, Optional.of(proxy), options(MethodOptions.of(method)), NoiseFloor.FP32);
      AttributionResult result = attributor.attribute(about(CONTEXT));
      assertThat(attributor.estimate(about(CONTEXT)).flops())
          .isCloseTo(result.cost().flops(), org.assertj.core.data.Percentage.withPercentage(15));
    }
  }
}
