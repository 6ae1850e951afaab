package dev.whence.attribution;

import static dev.whence.attribution.toy.Conversations.document;
import static dev.whence.attribution.toy.Conversations.instruction;
import static dev.whence.attribution.toy.Conversations.question;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.attribution.toy.Conversations;
import dev.whence.attribution.toy.FailingScorer;
import dev.whence.attribution.toy.ForwardingScorer;
import dev.whence.attribution.toy.TemplatedScorer;
import dev.whence.attribution.toy.ToyTemplate;
import dev.whence.attribution.toy.ToyTokenizer;
import dev.whence.attribution.toy.ToyTransformer;
import dev.whence.attribution.toy.WatchedTokenizer;
import dev.whence.conversation.Citation;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Span;
import dev.whence.conversation.Trust;
import dev.whence.engine.Branch;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.Scorer;
import dev.whence.engine.WorkEstimate;
import dev.whence.engine.text.RenderedPrompt;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class AttributorTest {
  private static final String ANSWER = "The cat. It is on the mat.";
  private static final Part CONTEXT =
      document("d", "The cat sat on the mat. The dog ran.\n\nParis is in France. It is.");
  private static final Conversation CONVERSATION =
      Conversations.of(ANSWER, "stop", CONTEXT, question("\nWhere is the cat?"));

  private final ToyTransformer scorer =
      new ToyTransformer(new ToyTokenizer(ToyTokenizer.LLAMA3, 200), 2048, 3);

  private AttributionResult attribute(Conversation conversation) {
    return new Attributor(scorer, AttributionOptions.DEFAULT).attribute(conversation);
  }

  private static AttributionOptions all() {
    return new AttributionOptions(
        MethodOptions.of("exact-loo").withKeepParagraphs(3), Granularity.SENTENCE, 0, true, "");
  }

  private static AttributionOptions pattern(String pattern) {
    return new AttributionOptions(
        MethodOptions.of("exact-loo").withKeepParagraphs(3),
        Granularity.SENTENCE,
        0,
        false,
        pattern);
  }

  private static AttributionOptions bound(String method, double seconds) {
    return new AttributionOptions(
        MethodOptions.of(method).withKeepParagraphs(1), Granularity.SENTENCE, seconds, false, "");
  }

  @Test
  void aPlainResultHasNoReason() {
    AttributionResult result = attribute(CONVERSATION);
    assertThat(result.status()).isEqualTo(AttributionStatus.SCORED);
    assertThat(result.reasonCode()).isEmpty();
    assertThat(result.reason()).isEmpty();
    assertThat(result.flags()).isEmpty();
    assertThat(result.method()).isEqualTo("exact-loo");
    assertThat(result.noiseFloor().getAsDouble())
        .isCloseTo(5e-5 * Math.sqrt(result.responseTokens()), within(1e-12));
  }

  @Test
  void aPromptWithoutContextIsScoredWithGroundednessZero() {
    AttributionResult result =
        attribute(Conversations.of(ANSWER, "stop", question("Where is the cat?")));
    assertThat(result.status()).isEqualTo(AttributionStatus.SCORED);
    assertThat(result.sources()).isEmpty();
    assertThat(result.matrix()).isEmpty();
    assertThat(result.groundedness()).hasValue(0);
    assertThat(result.flags()).isEmpty();
  }

  @Test
  void anEmptyDocumentIsNoContextEither() {
    AttributionResult result =
        attribute(Conversations.of(ANSWER, "stop", document("d", " \n\n "), question("Where?")));
    assertThat(result.sources()).isEmpty();
    assertThat(result.groundedness()).hasValue(0);
  }

  @Test
  void aLongPromptWithoutAnySourceSaysSo() {
    AttributionResult result =
        attribute(Conversations.of(ANSWER, "stop", question("The cat sat. ".repeat(150))));
    assertThat(result.status()).isEqualTo(AttributionStatus.SCORED);
    assertThat(result.reasonCode()).isEqualTo("NO_SOURCES_DECLARED");
    assertThat(result.reason()).isNotEmpty();
    assertThat(result.sources()).isEmpty();
  }

  @Test
  void aLongQuestionBesideEarlierTurnsSaysThatItHasNoSource() {
    Part earlier = Part.of(PartKind.HISTORY, "h", "It ran. ");
    Part flattened = question("The cat sat. ".repeat(90) + "Where?");
    AttributionResult result = attribute(Conversations.of(ANSWER, "stop", earlier, flattened));
    assertThat(result.sources()).extracting(SourceScore::segment).containsExactly("h");
    assertThat(result.flags()).containsExactly("LONG_SEGMENT_WITHOUT_SOURCE");

    AttributionResult opened =
        new Attributor(scorer, all())
            .attribute(Conversations.of(ANSWER, "stop", earlier, flattened));
    assertThat(opened.sources()).extracting(SourceScore::segment).contains("h", "question");
    assertThat(opened.flags()).isEmpty();
  }

  @Test
  void attributableAllTakesEverySegmentButQuestionAndInstructions() {
    AttributionResult result =
        new Attributor(scorer, all())
            .attribute(
                Conversations.of(
                    ANSWER,
                    "stop",
                    instruction("Answer. "),
                    Part.of(PartKind.UNKNOWN, "u", "The cat sat. "),
                    question("Where?")));
    assertThat(result.sources()).extracting(SourceScore::segment).containsExactly("u");
  }

  @Test
  void attributableAllCutsUpAFlattenedPrompt() {
    AttributionResult result =
        new Attributor(scorer, all())
            .attribute(
                Conversations.of(
                    ANSWER, "stop", question("The cat sat. The dog ran. Where is the cat?")));
    assertThat(result.sources())
        .extracting(SourceScore::text)
        .containsExactly("The cat sat. ", "The dog ran. ", "Where is the cat?");
  }

  @Test
  void attributableAllLeavesOutWhatTheCallerExcluded() {
    Part excluded =
        new Part(PartKind.RETRIEVED, "x", "", "", Trust.UNKNOWN, "It ran. ", false, List.of());
    AttributionResult result =
        new Attributor(scorer, all())
            .attribute(
                Conversations.of(
                    ANSWER, "stop", excluded, Part.of(PartKind.UNKNOWN, "u", "The cat sat.")));
    assertThat(result.sources()).extracting(SourceScore::segment).containsExactly("u");
  }

  @Test
  void aContextPatternFindsEveryMatchOfItsGroup() {
    String flattened =
        "Context: The cat sat.\nIt ran.\nEnd.\nContext: The dog saw it.\nEnd.\nWhere is it?";
    AttributionResult result =
        new Attributor(scorer, pattern("Context: (.*?)\\nEnd\\."))
            .attribute(Conversations.of(ANSWER, "stop", question(flattened)));
    assertThat(result.sources())
        .extracting(SourceScore::text)
        .containsExactly("The cat sat.\n", "It ran.", "The dog saw it.");
    for (SourceScore source : result.sources()) {
      assertThat(source.span().in(flattened)).isEqualTo(source.text());
    }
  }

  @Test
  void aContextPatternThatBacktracksWithoutEndIsStopped() {
    for (String pattern : List.of("((?:a+)+)b", "((?:a*)*)b")) {
      AttributionResult result =
          new Attributor(scorer, pattern(pattern))
              .attribute(Conversations.of(ANSWER, "stop", question("a".repeat(900) + "!")));
      assertThat(result.status()).isEqualTo(AttributionStatus.UNSUPPORTED);
      assertThat(result.reasonCode()).isEqualTo("CONTEXT_PATTERN_TOO_SLOW");
    }
  }

  @Test
  void aContextPatternMustBeARegularExpressionWithOneGroup() {
    assertThatThrownBy(() -> new Attributor(scorer, pattern("no group")))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("0 groups");
    assertThatThrownBy(() -> new Attributor(scorer, pattern("(a)(b)")))
        .hasMessageContaining("2 groups");
    assertThatThrownBy(() -> new Attributor(scorer, pattern("(")))
        .hasMessageContaining("not a regular expression");
  }

  @Test
  void anUnknownMethodIsRefusedByName() {
    assertThatThrownBy(() -> new Attributor(scorer, bound("guess", 0)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("guess")
        .hasMessageContaining("hierarchical");
  }

  @Test
  void boundsThatMakeNoSenseAreRefusedAtTheStart() {
    assertThatThrownBy(() -> new Attributor(scorer, bound("exact-loo", Double.NaN)))
        .hasMessageContaining("the maximal cost is NaN");
    assertThatThrownBy(() -> MethodOptions.of("exact-loo").withKeepParagraphs(0))
        .hasMessageContaining("keepParagraphs");
  }

  @Test
  void mediaPartsAreUnsupported() {
    AttributionResult result =
        attribute(Conversations.of(ANSWER, "stop", CONTEXT, Part.of(PartKind.MEDIA, "image", "")));
    assertThat(result.status()).isEqualTo(AttributionStatus.UNSUPPORTED);
    assertThat(result.reasonCode()).isEqualTo("MEDIA_PART");
    assertThat(result.logLikelihood()).isEmpty();
    assertThat(result.scorer()).isNotNull();
  }

  @Test
  void aRefusalIsScoredLikeAnyAnswer() {
    String refusal = "I'm sorry, but I can't help with that.";
    AttributionResult result =
        attribute(Conversations.of(refusal, "stop", CONTEXT, question("\nWho is it?")));
    assertThat(result.status()).isEqualTo(AttributionStatus.SCORED);
    assertThat(result.flags()).isEmpty();
    assertThat(result.statements()).hasSize(1);
    assertThat(result.statements().get(0).span()).isEqualTo(new Span(0, refusal.length()));
    assertThat(result.endTokenScored()).isTrue();
    assertThat(result.sources()).hasSize(4);
    assertThat(result.groundedness()).isPresent();
  }

  /** A conversation of several turns, as a chat with a tool is logged. */
  private static Conversation turns(Message... messages) {
    Conversation of = Conversations.of(ANSWER, "stop", CONTEXT);
    return Conversation.builder(of.responseId())
        .model(of.model())
        .occurredAt(of.occurredAt())
        .messages(Arrays.asList(messages))
        .response(ANSWER)
        .finishReason("stop")
        .build();
  }

  private static Message turn(String role, PartKind kind, String id, String text) {
    return Message.of(role, List.of(Part.of(kind, id, text)));
  }

  @Test
  void toolOutputAndEarlierTurnsAreSourcesWithTheTauOfTheirAbsence() {
    Message system = turn("system", PartKind.INSTRUCTION, "s", "Answer in one line.");
    Message earlier = turn("user", PartKind.HISTORY, "u", "The cat sat on the mat. It ran.");
    Message said = turn("assistant", PartKind.HISTORY, "a", "So it did.");
    Message tool = turn("tool", PartKind.TOOL_OUTPUT, "t", "The dog sat on the log.");
    Message asked = turn("user", PartKind.QUESTION, "q", "Where is the cat?");
    AttributionResult result = attribute(turns(system, earlier, said, tool, asked));
    assertThat(result.status()).isEqualTo(AttributionStatus.SCORED);
    assertThat(result.flags()).isEmpty();
    assertThat(result.sources())
        .extracting(source -> source.segment() + ":" + source.text())
        .containsExactly(
            "u:The cat sat on the mat. ", "u:It ran.", "a:So it did.", "t:The dog sat on the log.");
    double whole = result.logLikelihood().getAsDouble();
    Message without = turn("user", PartKind.HISTORY, "u", "The cat sat on the mat. ");
    for (int source : new int[] {2, 3}) {
      // The template writes the empty turn, too, so nothing but the source's text is gone.
      Conversation ablated =
          source == 2
              ? turns(system, earlier, turn("assistant", PartKind.HISTORY, "a", ""), tool, asked)
              : turns(system, earlier, said, turn("tool", PartKind.TOOL_OUTPUT, "t", ""), asked);
      assertThat(result.sources().get(source).tau())
          .isCloseTo(whole - attribute(ablated).logLikelihood().getAsDouble(), within(1e-9));
    }
    assertThat(attribute(turns(system, without, said, tool, asked)).sources()).hasSize(3);
    double none =
        attribute(
                turns(
                    system,
                    turn("user", PartKind.HISTORY, "u", ""),
                    turn("assistant", PartKind.HISTORY, "a", ""),
                    turn("tool", PartKind.TOOL_OUTPUT, "t", ""),
                    asked))
            .logLikelihood()
            .getAsDouble();
    assertThat(result.groundedness().getAsDouble()).isCloseTo(whole - none, within(1e-9));
  }

  @Test
  void aTemplateThatCanNotRenderTheConversationIsUnsupported() {
    TemplatedScorer failing =
        new TemplatedScorer(
            scorer,
            conversation -> {
              throw new EngineException(Kind.UNSUPPORTED, "the chat template takes no system turn");
            });
    AttributionResult result =
        new Attributor(failing, AttributionOptions.DEFAULT).attribute(CONVERSATION);
    assertThat(result.status()).isEqualTo(AttributionStatus.UNSUPPORTED);
    assertThat(result.reasonCode()).isEqualTo("TEMPLATE_UNSUPPORTED");
    assertThat(result.reason()).isEqualTo("the chat template takes no system turn");
    assertThat(scorer.tokensRun).isZero();
  }

  @Test
  void aPromptThatOpensReasoningWithoutAnyInTheRecordSaysSo() {
    TemplatedScorer thinking =
        new TemplatedScorer(
            scorer,
            conversation -> {
              RenderedPrompt plain = new ToyTemplate().render(conversation);
              return new RenderedPrompt(
                  plain.text() + "<think>\n", plain.segments(), plain.endToken());
            });
    AttributionResult result =
        new Attributor(thinking, AttributionOptions.DEFAULT).attribute(CONVERSATION);
    assertThat(result.status()).isEqualTo(AttributionStatus.SCORED);
    assertThat(result.flags()).containsExactly("REASONING_MISSING");
    assertThat(attribute(CONVERSATION).flags()).isEmpty();
  }

  @Test
  void anEmptyResponseHasOnlyItsEndToken() {
    AttributionResult stopped = attribute(Conversations.of("", "stop", CONTEXT));
    assertThat(stopped.status()).isEqualTo(AttributionStatus.SCORED);
    assertThat(stopped.responseTokens()).isEqualTo(1);
    assertThat(stopped.reasonCode()).isEqualTo("EMPTY_RESPONSE");
    assertThat(stopped.statements()).hasSize(1);

    AttributionResult cutOff = attribute(Conversations.of("", "length", CONTEXT));
    assertThat(cutOff.status()).isEqualTo(AttributionStatus.UNSUPPORTED);
    assertThat(cutOff.reasonCode()).isEqualTo("EMPTY_RESPONSE");
  }

  @Test
  void aResponseThatWasCutOffSaysSo() {
    AttributionResult result = attribute(Conversations.of(ANSWER, "length", CONTEXT));
    assertThat(result.flags()).containsExactly("RESPONSE_CUT_OFF");
    assertThat(result.endTokenScored()).isFalse();
  }

  @Test
  void toolCallsAreOneStatement() {
    String call = "{\"name\": \"find\", \"arguments\": {\"q\": \"Cat. Mat. Dog!\"}}";
    AttributionResult result = attribute(Conversations.of(call, "tool_calls", CONTEXT));
    assertThat(result.statements()).hasSize(1);
    assertThat(result.statements().get(0).span()).isEqualTo(new Span(0, call.length()));
    assertThat(result.endTokenScored()).isFalse();
  }

  @Test
  void aSpecialTokenInADocumentIsKeptAndFlagged() {
    AttributionResult result =
        attribute(
            Conversations.of(
                ANSWER, "stop", document("d", "The cat <|end|> sat. It ran."), question("?")));
    assertThat(result.status()).isEqualTo(AttributionStatus.SCORED);
    assertThat(result.flags()).containsExactly("SPECIAL_TOKEN_IN_SEGMENT");
    assertThat(result.reasonCode()).isEqualTo("SPECIAL_TOKEN_IN_SEGMENT");
  }

  @Test
  void reasoningThatTheTemplateLeavesOutIsFlagged() {
    // The first stands in the document, which does not make it reasoning.
    for (String reasoning : List.of("The dog ran.", "Let me think.")) {
      AttributionResult result = attribute(Conversations.reasoned(reasoning, ANSWER, CONTEXT));
      assertThat(result.flags()).containsExactly("REASONING_NOT_CONDITIONED");
      assertThat(result.reasoning()).isEmpty();
    }
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

  @ParameterizedTest
  @CsvSource({"UNSUPPORTED,UNSUPPORTED", "RECORD,FAILED"})
  void theFaultOfARecordIsItsResult(Kind kind, AttributionStatus status) {
    AttributionResult result =
        new Attributor(new FailingScorer(scorer, kind), AttributionOptions.DEFAULT)
            .attribute(CONVERSATION);
    assertThat(result.status()).isEqualTo(status);
    assertThat(result.reason()).isEqualTo("the device said " + kind);
  }

  @ParameterizedTest
  @CsvSource({"MODEL", "ENVIRONMENT"})
  void otherFaultsAreThrown(Kind kind) {
    Attributor attributor =
        new Attributor(new FailingScorer(scorer, kind), AttributionOptions.DEFAULT);
    assertThatThrownBy(() -> attributor.attribute(CONVERSATION))
        .isInstanceOfSatisfying(EngineException.class, e -> assertThat(e.kind()).isEqualTo(kind));
  }

  @Test
  void aScorerIsASurrogateForEveryModelThatIsNotItsAlias() {
    assertThat(attribute(CONVERSATION).surrogate()).isFalse();
    assertThat(
            attribute(Conversations.of("closed/giant", ANSWER, "stop", List.of(), CONTEXT))
                .surrogate())
        .isTrue();
  }

  @Test
  void aRawPromptOfContextAloneHasNoGroundedness() {
    Part first = document("a", "The cat sat. ");
    Part second = document("b", "It ran.");
    AttributionResult result = attribute(Conversations.raw("So.", first, second));
    assertThat(result.status()).isEqualTo(AttributionStatus.SCORED);
    assertThat(result.sources()).hasSize(2);
    assertThat(result.groundedness()).isEmpty();
    assertThat(result.flags()).containsExactly("NO_PROMPT_WITHOUT_CONTEXT");

    result = attribute(Conversations.raw("So.", first));
    assertThat(result.status()).isEqualTo(AttributionStatus.UNSUPPORTED);
    assertThat(result.reason()).contains("nothing is left of the prompt");
  }

  @ParameterizedTest
  @ValueSource(strings = {"paragraph-splice", "hierarchical", "contextcite"})
  void aRawPromptOfOneParagraphIsScoredSentenceBySentence(String method) {
    AttributionResult result =
        new Attributor(
                scorer,
                new AttributionOptions(
                    MethodOptions.of(method).withMasks(32, 1), Granularity.SENTENCE, 0, false, ""))
            .attribute(Conversations.raw("So.", document("a", "The cat sat. It ran. So did I.")));
    assertThat(result.status()).as(result.reason()).isEqualTo(AttributionStatus.SCORED);
    assertThat(result.sources()).hasSize(3);
    assertThat(result.flags()).contains("NO_PROMPT_WITHOUT_CONTEXT");
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

  @Test
  void aRawPromptThatIsOneSourceBehindABeginTokenHasItsTauAsGroundedness() {
    Part prompt = Part.of(PartKind.UNKNOWN, "prompt", "The cat sat on the mat.");
    ToyTemplate toy = new ToyTemplate();
    TemplatedScorer begins =
        new TemplatedScorer(scorer, conversation -> toy.render(conversation).behind("<s>"));
    AttributionResult result =
        new Attributor(begins, all()).attribute(Conversations.raw(ANSWER, prompt));
    assertThat(result.status()).isEqualTo(AttributionStatus.SCORED);
    assertThat(result.sources()).hasSize(1);
    assertThat(result.groundedness()).isPresent();
    assertThat(result.groundedness().getAsDouble())
        .isNotZero()
        .isCloseTo(result.sources().get(0).tau(), within(1e-9));
    assertThat(result.flags()).isEmpty();
  }

  @Test
  void aRawPromptThatDeclaresNothingSaysSoHoweverShort() {
    Part prompt = Part.of(PartKind.UNKNOWN, "prompt", "The cat sat. Where is the cat?");
    AttributionResult result = attribute(Conversations.raw(ANSWER, prompt));
    assertThat(result.status()).isEqualTo(AttributionStatus.SCORED);
    assertThat(result.sources()).isEmpty();
    assertThat(result.groundedness()).hasValue(0);
    assertThat(result.reasonCode()).isEqualTo("NO_SOURCES_DECLARED");
    assertThat(new Attributor(scorer, all()).attribute(Conversations.raw(ANSWER, prompt)).sources())
        .hasSize(2);
  }

  @Test
  void citationsAreComparedWithScores() {
    AttributionResult plain =
        attribute(Conversations.of(ANSWER, "stop", CONTEXT, document("e", "It ran.")));
    for (String segment : List.of("d", "e")) {
      for (int j = 0; j < plain.statements().size(); j++) {
        double support = 0;
        for (int i = 0; i < plain.sources().size(); i++) {
          if (plain.sources().get(i).segment().equals(segment)) {
            support += plain.matrix().get(i).get(j);
          }
        }
        Span statement = plain.statements().get(j).span();
        Span cited = new Span(statement.start() + 1, statement.start() + 3);
        AttributionResult result =
            attribute(
                Conversations.of(
                    "acme/toy",
                    ANSWER,
                    "stop",
                    List.of(new Citation(segment, cited)),
                    CONTEXT,
                    document("e", "It ran.")));
        int tokens =
            (int)
                plain.tokens().stream()
                    .map(token -> token.span().start())
                    .filter(at -> at >= statement.start() && at < statement.end())
                    .count();
        assertThat(result.flags().contains("CITATION_NOT_SUPPORTED"))
            .isEqualTo(support <= NoiseFloor.FP32.nats(tokens));
      }
    }
    AttributionResult unknown =
        attribute(
            Conversations.of(
                "acme/toy",
                ANSWER,
                "stop",
                List.of(new Citation("elsewhere", new Span(0, 4))),
                CONTEXT));
    assertThat(unknown.flags()).containsExactly("CITATION_WITHOUT_SOURCE");
  }

  @Test
  void marksInTheResponseAreCheckedLikeDeclaredCitations() {
    for (String mark : List.of("[1]", "[2]", "[1, 2]", "[1][2]", "[d]", "[e]")) {
      String answer = "The cat. It is on the mat " + mark + ".";
      Part other = document("e", "It ran.");
      AttributionResult result = attribute(Conversations.of(answer, "stop", CONTEXT, other));
      Span cited = new Span(answer.indexOf(mark), answer.length() - 1);
      List<Citation> declared = new ArrayList<>();
      if (mark.contains("1") || mark.contains("d")) {
        declared.add(new Citation("d", cited));
      }
      if (mark.contains("2") || mark.contains("e")) {
        declared.add(new Citation("e", cited));
      }
      List<String> expected =
          new ArrayList<>(
              attribute(Conversations.of("acme/toy", answer, "stop", declared, CONTEXT, other))
                  .flags());
      expected.add("CITATIONS_DERIVED");
      assertThat(result.flags()).isEqualTo(expected);
      assertThat(result.reason()).contains("declares no citations");
    }
  }

  @Test
  void declaredCitationsKeepMarksFromBeingRead() {
    AttributionResult result =
        attribute(
            Conversations.of(
                "acme/toy",
                "It is [1].",
                "stop",
                List.of(new Citation("elsewhere", new Span(0, 4))),
                CONTEXT));
    assertThat(result.flags()).containsExactly("CITATION_WITHOUT_SOURCE");
  }

  @Test
  void aMarkOfADocumentThatIsNoSourceSaysSo() {
    Part excluded =
        new Part(PartKind.RETRIEVED, "x", "", "", Trust.UNKNOWN, "It ran. ", false, List.of());
    AttributionResult result = attribute(Conversations.of("It is [1].", "stop", excluded, CONTEXT));
    assertThat(result.flags()).containsExactly("CITATION_WITHOUT_SOURCE", "CITATIONS_DERIVED");
  }

  @Test
  void noUserTextIsInAnyReason() {
    String canary = "zebrafish";
    List<Conversation> refused =
        Arrays.asList(
            Conversations.of(canary, "length", Part.of(PartKind.MEDIA, "m", canary)),
            Conversations.of("", "length", question(canary)),
            Conversations.of(canary, "stop", question(canary.repeat(2000))));
    for (Conversation conversation : refused) {
      AttributionResult result = attribute(conversation);
      assertThat(result.status()).isEqualTo(AttributionStatus.UNSUPPORTED);
      assertThat(result.reason()).isNotEmpty().doesNotContain(canary);
    }
  }
}
