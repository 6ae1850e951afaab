package dev.whence.attribution;

import static dev.whence.attribution.toy.Conversations.document;
import static dev.whence.attribution.toy.Conversations.question;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.attribution.toy.Conversations;
import dev.whence.attribution.toy.TemplatedScorer;
import dev.whence.attribution.toy.ToyTemplate;
import dev.whence.attribution.toy.ToyTokenizer;
import dev.whence.attribution.toy.ToyTransformer;
import dev.whence.attribution.toy.VerbatimTemplate;
import dev.whence.conversation.Conversation;
import dev.whence.engine.Scorer;
import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.RenderedPrompt;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Two models that read one conversation by templates that differ. */
class OtherTemplateTest {
  private static final PromptTemplate TRIMMED = new ToyTemplate();
  private static final PromptTemplate VERBATIM = new VerbatimTemplate(false);
  private static final PromptTemplate LAST_FIRST = new VerbatimTemplate(true);

  /** The last sentence of a message owns the line feed, which one template trims. */
  private static final Conversation LINE_FEED =
      Conversations.turns(
          "The cat.", question("Where is it?\n"), document("d", "The cat sat. The dog ran.\n"));

  private static final Conversation TURNS =
      Conversations.turns(
          "The cat. It is on the mat.",
          document("a", "The cat sat on the mat. Berlin is not.\n"),
          document("b", "The dog ran.\n"),
          document("c", "It saw 100 birds. Paris is the capital of France. So it goes. "),
          question("Where is the cat?"));

  private static Scorer target(PromptTemplate template) {
    return target(4096, template);
  }

  private static Scorer target(int window, PromptTemplate template) {
    return new ToyTransformer(new ToyTokenizer(ToyTokenizer.LLAMA3, 200), window, 7, template);
  }

  private static Scorer proxy(PromptTemplate template) {
    return new ToyTransformer(new ToyTokenizer(ToyTokenizer.GPT2, 60), 4096, 21, template);
  }

  private static AttributionOptions options(String method, OverWindow overWindow) {
    return new AttributionOptions(
        MethodOptions.of(method).withExactTop(1), Granularity.SENTENCE, 0, false, "", overWindow);
  }

  private static AttributionResult alone(Scorer scorer, Conversation conversation) {
    return new Attributor(scorer, options("exact-loo", OverWindow.REFUSE)).attribute(conversation);
  }

  private static AttributionResult attribute(
      String method, Scorer target, Scorer proxy, Conversation conversation) {
    return new Attributor(
            target, Optional.of(proxy), options(method, OverWindow.DROP_SOURCES), NoiseFloor.FP32)
        .attribute(conversation);
  }

  private static SourcePlace place(SourceScore source) {
    return new SourcePlace(source.segment(), source.span());
  }

  private static SourceScore at(AttributionResult result, SourcePlace place) {
    return result.sources().stream()
        .filter(source -> place(source).equals(place))
        .findFirst()
        .orElseThrow();
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void aProxyScoresTheSourcesOfATargetWhoseTemplateTrims(boolean targetTrims) {
    Scorer target = target(targetTrims ? TRIMMED : VERBATIM);
    Scorer proxy = proxy(targetTrims ? VERBATIM : TRIMMED);
    AttributionResult ofProxy = alone(proxy, LINE_FEED);
    for (String method : List.of("proxy", "proxy-pruning")) {
      AttributionResult result = attribute(method, target, proxy, LINE_FEED);
      assertThat(result.status()).isEqualTo(AttributionStatus.SCORED);
      assertThat(result.sources())
          .extracting(SourceScore::text)
          .containsExactly("The cat sat. ", "The dog ran.\n");
      assertThat(result.sources())
          .filteredOn(source -> source.method().equals("exact-loo"))
          .isNotEmpty()
          .allSatisfy(
              source ->
                  assertThat(source.tau())
                      .isCloseTo(at(ofProxy, place(source)).tau(), within(1e-9)));
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void earlierScoresOfAModelWhoseTemplateTrimsAreTakenOver(boolean targetTrims) {
    Scorer target = target(targetTrims ? TRIMMED : VERBATIM);
    AttributionResult fast = alone(proxy(targetTrims ? VERBATIM : TRIMMED), LINE_FEED);
    AttributionResult result = rescored(target, LINE_FEED, fast, place(fast.sources().get(1)));
    assertThat(result.method()).isEqualTo("proxy-pruning");
    assertThat(result.flags()).doesNotContain("FAST_SCORES_UNUSABLE");
    assertThat(result.sources().get(0).tau()).isEqualTo(fast.sources().get(0).tau());
    assertThat(result.sources().get(1).method()).isEqualTo("proxy-pruning");
  }

  private static AttributionResult rescored(
      Scorer target, Conversation conversation, AttributionResult fast, SourcePlace candidate) {
    Attributor attributor = new Attributor(target, options("exact-loo", OverWindow.REFUSE));
    return attributor.attribute(
        attributor.read(
            conversation,
            new EarlierScores(fast.sources(), fast.matrix(), Set.of(candidate), Optional.empty())));
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void whatTheTargetLeavesOutTheProxyDoesNotReadEither(boolean targetTrims) {
    PromptTemplate ofTarget = targetTrims ? TRIMMED : VERBATIM;
    AttributionResult whole = alone(target(ofTarget), LINE_FEED);
    int window = whole.promptTokens() + whole.responseTokens() - 1;
    AttributionResult result =
        attribute(
            "proxy", target(window, ofTarget), proxy(targetTrims ? VERBATIM : TRIMMED), LINE_FEED);
    assertThat(result.leftOut())
        .extracting(place -> place.span().in("The cat sat. The dog ran.\n"))
        .containsExactly("The dog ran.\n");
    assertThat(result.sources()).extracting(SourceScore::text).containsExactly("The cat sat. ");
    // What the proxy reads, written out: the space was inside of the message and stays.
    Conversation shorter =
        Conversations.turns(
            "The cat.",
            question(targetTrims ? "Where is it?\n" : "Where is it?"),
            document("d", "The cat sat. "));
    assertThat(result.sources().get(0).tau())
        .isCloseTo(alone(proxy(VERBATIM), shorter).sources().get(0).tau(), within(1e-9));
  }

  @Test
  void aProxyThatReadsTheMessagesInAnotherOrderScoresEachSourceAsItsOwn() {
    Scorer target = target(TRIMMED);
    Scorer proxy = proxy(LAST_FIRST);
    AttributionResult ofProxy = alone(proxy, TURNS);
    AttributionResult result = attribute("proxy", target, proxy, TURNS);
    assertThat(ofProxy.sources())
        .extracting(SourceScore::segment)
        .containsExactly("c", "c", "c", "b", "a", "a");
    assertThat(result.sources())
        .extracting(SourceScore::segment)
        .containsExactly("a", "a", "b", "c", "c", "c");
    assertAllDiffer(ofProxy);
    for (int i = 0; i < 6; i++) {
      SourceScore source = result.sources().get(i);
      int other = ofProxy.sources().indexOf(at(ofProxy, place(source)));
      assertThat(source.tau()).isCloseTo(ofProxy.sources().get(other).tau(), within(1e-9));
      assertThat(result.matrix().get(i)).isEqualTo(ofProxy.matrix().get(other));
    }
    // The one that the target scores again is the proxy's first, wherever it stands.
    SourceScore first =
        ofProxy.sources().stream().max(Comparator.comparingDouble(SourceScore::tau)).orElseThrow();
    assertThat(attribute("proxy-pruning", target, proxy, TURNS).sources())
        .filteredOn(source -> source.method().equals("proxy-pruning"))
        .extracting(OtherTemplateTest::place)
        .containsExactly(place(first));
  }

  @Test
  void earlierScoresInAnotherOrderStayWithTheirSources() {
    AttributionResult fast = alone(proxy(LAST_FIRST), TURNS);
    assertAllDiffer(fast);
    SourcePlace candidate = place(fast.sources().get(0));
    AttributionResult result = rescored(target(TRIMMED), TURNS, fast, candidate);
    assertThat(result.flags()).doesNotContain("FAST_SCORES_UNUSABLE");
    for (SourceScore source : result.sources()) {
      if (place(source).equals(candidate)) {
        assertThat(source.method()).isEqualTo("proxy-pruning");
      } else {
        assertThat(source.tau()).isEqualTo(at(fast, place(source)).tau());
        assertThat(source.method()).isEqualTo("exact-loo");
      }
    }
  }

  /** Else one could stand for another. */
  private static void assertAllDiffer(AttributionResult result) {
    List<Double> taus = result.sources().stream().map(SourceScore::tau).sorted().toList();
    for (int i = 1; i < taus.size(); i++) {
      assertThat(taus.get(i) - taus.get(i - 1)).isGreaterThan(1e-3);
    }
  }

  @Test
  void aProxyWhoseTemplateLosesASegmentSaysSo() {
    PromptTemplate forgetful =
        conversation -> {
          RenderedPrompt whole = VERBATIM.render(conversation);
          return new RenderedPrompt(
              whole.text(),
              whole.segments().stream().filter(one -> !one.part().id().equals("b")).toList(),
              whole.endToken());
        };
    Scorer proxy = new TemplatedScorer(proxy(VERBATIM), forgetful);
    for (String method : List.of("proxy", "proxy-pruning")) {
      AttributionResult result = attribute(method, target(TRIMMED), proxy, TURNS);
      assertThat(result.status()).isEqualTo(AttributionStatus.UNSUPPORTED);
      assertThat(result.reasonCode()).isEqualTo("PROXY_OTHER_SOURCES");
      assertThat(result.reason())
          .isEqualTo("The proxy's chat template leaves out a source that the target's has.");
    }
    // The other way round every source of the target has its score.
    assertThat(
            attribute(
                    "proxy",
                    new TemplatedScorer(target(VERBATIM), forgetful),
                    proxy(VERBATIM),
                    TURNS)
                .sources())
        .extracting(SourceScore::segment)
        .containsExactly("a", "a", "c", "c", "c");
  }
}
