package dev.whence.attribution.stage;

import static dev.whence.attribution.toy.Conversations.document;
import static dev.whence.attribution.toy.Conversations.question;
import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.attribution.AttributionNote;
import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionResult.TokenScore;
import dev.whence.attribution.AttributionStatus;
import dev.whence.attribution.Attributor;
import dev.whence.attribution.Granularity;
import dev.whence.attribution.OverWindow;
import dev.whence.attribution.Refusal;
import dev.whence.attribution.confidence.Calibration.Pair;
import dev.whence.attribution.confidence.Calibrator;
import dev.whence.attribution.confidence.Features;
import dev.whence.attribution.method.Cascade;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.attribution.toy.AsciiTokenizer;
import dev.whence.attribution.toy.Conversations;
import dev.whence.attribution.toy.FailingScorer;
import dev.whence.attribution.toy.OtherScorer;
import dev.whence.attribution.toy.TemplatedScorer;
import dev.whence.attribution.toy.ToyTokenizer;
import dev.whence.attribution.toy.ToyTransformer;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Span;
import dev.whence.engine.EngineException;
import dev.whence.engine.Scorer;
import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.RenderedPrompt;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class FastPathTest {
  private static final Conversation CONVERSATION =
      Conversations.of(
          "The mat.",
          "stop",
          document("d", "The cat sat on the mat. The dog ran. It saw 100 birds. "),
          question("Where is the cat?"));

  private final FastPath path =
      new FastPath(
          new EscalationOptions(0.9, 0, 100, 10, 8, Duration.ofMinutes(1), Map.of()),
          new Calibrator(100, 10, 0.9));

  private static AttributionResult attribute(int window, Conversation conversation) {
    ToyTransformer scorer =
        new ToyTransformer(new ToyTokenizer(ToyTokenizer.LLAMA3, 200), window, 3);
    return new Attributor(
            scorer, AttributionOptions.DEFAULT.withOverWindow(OverWindow.DROP_SOURCES))
        .attribute(conversation);
  }

  @Test
  void whatTheFastModelCouldNotReadInFullIsTheTargetsToReadInFull() {
    AttributionResult whole = attribute(2048, CONVERSATION);
    assertThat(((FastPath.Escalated) path.judge(CONVERSATION, whole, "s")).code())
        .isEqualTo(FastPath.UNCALIBRATED);
    AttributionResult shortened = attribute(tokens(whole) - 1, CONVERSATION);
    assertThat(shortened.sources()).hasSize(2);
    Conversation asked = Conversations.of("The mat.", "stop", question("Where is the cat?"));
    AttributionResult bare = attribute(tokens(attribute(2048, asked)), CONVERSATION);
    assertThat(bare.sources()).isEmpty();
    for (AttributionResult result : List.of(shortened, bare)) {
      FastPath.Escalated verdict = (FastPath.Escalated) path.judge(CONVERSATION, result, "s");
      assertThat(verdict.code()).isEqualTo(FastPath.WINDOWED);
      assertThat(verdict.urgent()).isFalse();
      assertThat(verdict.candidates()).isEmpty();
      assertThat(verdict.confidence()).isEmpty();
      // No pair to learn from comes of it.
      assertThat(FastPath.drawn(verdict.code())).isFalse();
    }
  }

  @Test
  void whatSomebodyAskedForIsTheTargetsWhateverTheFastPathMadeOfIt() {
    FastPath asking =
        new FastPath(
            new EscalationOptions(0, 0, 100, 10, 8, Duration.ofMinutes(1), Map.of("audit", "yes")),
            new Calibrator(100, 10, 0));
    AttributionResult refused =
        new Attributor(
                new ToyTransformer(new ToyTokenizer(ToyTokenizer.LLAMA3, 200), 20, 3),
                AttributionOptions.DEFAULT)
            .attribute(CONVERSATION);
    assertThat(refused.reasonCode()).isEqualTo("PROMPT_TOO_LONG");
    Conversation bare = Conversations.of("The mat.", "stop", question("Where is the cat?"));
    AttributionResult sourceless = attribute(2048, bare);
    assertThat(sourceless.sources()).isEmpty();
    for (AttributionResult result : List.of(refused, sourceless, attribute(2048, CONVERSATION))) {
      FastPath.Escalated verdict =
          (FastPath.Escalated) asking.judge(audited(CONVERSATION), result, "s");
      assertThat(verdict.code()).isEqualTo(FastPath.REQUESTED);
      assertThat(verdict.urgent()).isTrue();
      assertThat(verdict.candidates()).isEmpty();
    }
    assertThat(asking.judge(CONVERSATION, sourceless, "s")).isInstanceOf(FastPath.Stands.class);
  }

  @Test
  void whatTheClockEndedIsMeasuredApart() {
    MethodOptions cascade = MethodOptions.of(Cascade.NAME);
    MethodOptions ended = cascade.withDeadline(Duration.ofNanos(1));
    assertThat(FastPath.measuredAs(attribute(cascade))).isEqualTo(Cascade.NAME);
    assertThat(FastPath.measuredAs(attribute(ended))).startsWith(Cascade.NAME).contains("clock");
  }

  private static AttributionResult attribute(MethodOptions method) {
    ToyTransformer scorer = new ToyTransformer(new ToyTokenizer(ToyTokenizer.LLAMA3, 200), 2048, 3);
    Conversation longer =
        Conversations.of(
            "The mat.",
            "stop",
            document("d", "The cat sat on the mat. The dog ran. It saw 100 birds. ".repeat(8)),
            question("Where is the cat?"));
    return new Attributor(
            scorer, new AttributionOptions(method, Granularity.SENTENCE, 0, false, ""))
        .attribute(longer);
  }

  private static AttributionResult refused(
      Refusal why, Scorer scorer, AttributionOptions options, Conversation conversation) {
    AttributionResult result = new Attributor(scorer, options).attribute(conversation);
    assertThat(result.status()).isEqualTo(AttributionStatus.UNSUPPORTED);
    assertThat(result.reasonCode()).isEqualTo(why.name());
    return result;
  }

  private static AttributionOptions options(double maxCost, String contextPattern) {
    return new AttributionOptions(
        MethodOptions.DEFAULT, Granularity.SENTENCE, maxCost, false, contextPattern);
  }

  private void isHandedOn(AttributionResult result, Conversation conversation) {
    FastPath.Escalated verdict = (FastPath.Escalated) path.judge(conversation, result, "s");
    assertThat(verdict.code()).isEqualTo(result.reasonCode());
    assertThat(verdict.urgent()).isFalse();
    assertThat(verdict.candidates()).isEmpty();
    assertThat(verdict.confidence()).isEmpty();
    assertThat(FastPath.drawn(verdict.code())).as("a pair to learn from").isFalse();
  }

  private void stands(AttributionResult result, Conversation conversation) {
    assertThat(path.judge(conversation, result, "s")).isInstanceOf(FastPath.Stands.class);
  }

  @Test
  void whatIsALimitOfTheFastModelIsTheTargetsAndWhatNobodyCanScoreStands() {
    AttributionOptions usual = AttributionOptions.DEFAULT;
    Scorer model = new ToyTransformer(new ToyTokenizer(ToyTokenizer.LLAMA3, 200), 2048, 3);
    isHandedOn(
        refused(
            Refusal.PROMPT_TOO_LONG,
            new ToyTransformer(new ToyTokenizer(ToyTokenizer.LLAMA3, 200), 20, 3),
            usual,
            CONVERSATION),
        CONVERSATION);
    isHandedOn(
        refused(Refusal.COST_OVER_BOUND, model, options(1e-12, ""), CONVERSATION), CONVERSATION);
    PromptTemplate narrow =
        conversation -> {
          throw new EngineException(EngineException.Kind.UNSUPPORTED, "no place for documents");
        };
    isHandedOn(
        refused(
            Refusal.TEMPLATE_UNSUPPORTED, new TemplatedScorer(model, narrow), usual, CONVERSATION),
        CONVERSATION);
    isHandedOn(
        refused(
            Refusal.SCORER_UNSUPPORTED,
            new FailingScorer(model, EngineException.Kind.UNSUPPORTED),
            usual,
            CONVERSATION),
        CONVERSATION);

    Conversation image = Conversations.of("The mat.", "stop", Part.of(PartKind.MEDIA, "image", ""));
    stands(refused(Refusal.MEDIA_PART, model, usual, image), image);
    Conversation slow = Conversations.of("The mat.", "stop", question("a".repeat(900) + "!"));
    stands(refused(Refusal.CONTEXT_PATTERN_TOO_SLOW, model, options(0, "((?:a+)+)b"), slow), slow);
  }

  @Test
  void anEmptyResponseIsTheTargetsOnlyIfItsTemplateMayWriteAnEndToken() {
    Scorer model = new ToyTransformer(new ToyTokenizer(ToyTokenizer.LLAMA3, 200), 2048, 3);
    Conversation cutOff = Conversations.of("", "length", question("Where is the cat?"));
    stands(refused(Refusal.EMPTY_RESPONSE, model, AttributionOptions.DEFAULT, cutOff), cutOff);
    Conversation stopped = Conversations.of("", "stop", question("Where is the cat?"));
    PromptTemplate endless =
        conversation -> {
          RenderedPrompt rendered = model.template().render(conversation);
          return new RenderedPrompt(rendered.text(), rendered.segments(), "");
        };
    isHandedOn(
        refused(
            Refusal.EMPTY_RESPONSE,
            new TemplatedScorer(model, endless),
            AttributionOptions.DEFAULT,
            stopped),
        stopped);
  }

  @Test
  void whatTheFastModelCanNotSpellIsTheTargetsEvenIfItIsOneSourceOfMany() {
    ToyTransformer model = new ToyTransformer(new ToyTokenizer(ToyTokenizer.GPT2, 200), 8192, 3);
    Attributor ascii =
        new Attributor(
            new OtherScorer(model, "ascii", new AsciiTokenizer(model.tokenizer())),
            AttributionOptions.DEFAULT);
    String greek = "\u0397 \u03b3\u03ac\u03c4\u03b1 \u03ba\u03ac\u03b8\u03b5\u03c4\u03b1\u03b9. ";
    String english = "The cat sat on the mat. The dog ran. It saw 100 birds. ".repeat(20);
    Conversation source =
        Conversations.of(
            "The mat.",
            "stop",
            document(
                "d",
                greek + english,
                new Span(0, greek.length()),
                new Span(greek.length(), greek.length() + english.length())),
            question("Where is the cat?"));
    Conversation answer =
        Conversations.of(
            greek,
            "stop",
            document("d", english, new Span(0, english.length())),
            question("Where is the cat?"));
    for (Conversation conversation : List.of(source, answer)) {
      AttributionResult result = ascii.attribute(conversation);
      assertThat(result.flags()).contains(AttributionNote.TEXT_NOT_READ.name());
      FastPath.Escalated verdict = (FastPath.Escalated) path.judge(conversation, result, "s");
      assertThat(verdict.code()).isEqualTo(FastPath.NOT_READ);
      assertThat(verdict.candidates()).isEmpty();
      assertThat(FastPath.drawn(verdict.code())).isFalse();
    }
    Conversation dash =
        Conversations.of(
            "The mat.",
            "stop",
            document("d", "The cat sat \u2014 on the mat. The dog ran."),
            question("Where is the cat?"));
    assertThat(ascii.attribute(dash).flags()).doesNotContain("TEXT_NOT_READ");
    // A list's bullet, an emoji of its own, and one that is made of several characters.
    for (String few : List.of("\u2022 ", "\uD83D\uDC4D ", "I \u2764\uFE0F cats and dogs. ")) {
      Conversation emoji =
          Conversations.of(
              "The mat.",
              "stop",
              document(
                  "d",
                  few + english,
                  new Span(0, few.length()),
                  new Span(few.length(), few.length() + english.length())),
              question("Where is the cat?"));
      assertThat(ascii.attribute(emoji).flags()).as(few).doesNotContain("TEXT_NOT_READ");
    }
    assertThat(new Attributor(model, AttributionOptions.DEFAULT).attribute(source).flags())
        .doesNotContain("TEXT_NOT_READ");
  }

  /** Else a server's odd number would make the judge fail, and with it the response. */
  @Test
  void anOddLogProbabilityIsNoFeatureThatTheJudgeRefuses() {
    AttributionResult odd = withLogProbs(attribute(2048, CONVERSATION), -1e6);
    Map<String, Double> features = Features.of(odd, CONVERSATION.response());
    assertThat(features.get("log-prob")).isEqualTo(-1e4);
    assertThat(Pair.of(features, true, false).features()).hasSize(Features.NAMES.size());
  }

  private static AttributionResult withLogProbs(AttributionResult of, double logProb) {
    return new AttributionResult(
        of.responseId(),
        of.status(),
        of.reasonCode(),
        of.reason(),
        of.method(),
        of.scorer(),
        of.surrogate(),
        of.promptTokens(),
        of.responseTokens(),
        of.endTokenScored(),
        of.logLikelihood(),
        of.logLikelihoodWithoutContext(),
        of.noiseFloor(),
        of.reasoning(),
        of.sources(),
        of.leftOut(),
        of.groups(),
        of.statements(),
        of.matrix(),
        of.tokens().stream().map(token -> new TokenScore(token.span(), logProb)).toList(),
        of.flags(),
        of.retokenizedBranches(),
        of.truncated(),
        of.cost());
  }

  @Test
  void whatIsLargerThanAllThatBothHaveScoredIsHandedOnAndSaysNoConfidence() {
    Calibrator calibrator = new Calibrator(100, 10, 0);
    FastPath sure =
        new FastPath(
            new EscalationOptions(0, 0, 100, 10, 2, Duration.ofMinutes(1), Map.of()), calibrator);
    AttributionResult result = attribute(2048, CONVERSATION);
    for (int i = 0; i < 10; i++) {
      calibrator.add("s", "t", Pair.of(Features.of(result, CONVERSATION.response()), i > 0, false));
    }
    assertThat(sure.judge(CONVERSATION, result, "s")).isInstanceOf(FastPath.Stands.class);
    Conversation longer =
        Conversations.of(
            "The mat.",
            "stop",
            document("d", "The cat sat on the mat. The dog ran. It saw 100 birds. "),
            question("Where is the cat, and where is the dog that ran?"));
    FastPath.Escalated verdict =
        (FastPath.Escalated) sure.judge(longer, attribute(2048, longer), "s");
    assertThat(verdict.code()).isEqualTo(FastPath.LARGER_THAN_MEASURED);
    assertThat(verdict.candidates()).hasSize(2);
    assertThat(verdict.confidence()).isEmpty();
    assertThat(FastPath.drawn(verdict.code())).isFalse();
  }

  private static Conversation audited(Conversation of) {
    return of.toBuilder().attributes(Map.of("audit", "yes")).build();
  }

  private static int tokens(AttributionResult result) {
    return result.promptTokens() + result.responseTokens();
  }
}
