package dev.whence.attribution;

import static dev.whence.attribution.toy.Conversations.document;
import static dev.whence.attribution.toy.Conversations.question;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.attribution.toy.Conversations;
import dev.whence.attribution.toy.FailingScorer;
import dev.whence.attribution.toy.TemplatedScorer;
import dev.whence.attribution.toy.ToyTemplate;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Span;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.text.RenderedPrompt;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a result says of the answer, the prompt and the model, and whose fault a failure is. */
class AttributorTest extends ToyAttribution {
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
  void anUnknownMethodIsRefusedByName() {
    assertThatThrownBy(() -> new Attributor(scorer, bound("guess", 0)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("guess")
        .hasMessageContaining("hierarchical");
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
