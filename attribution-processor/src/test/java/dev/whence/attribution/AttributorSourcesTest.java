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
import dev.whence.attribution.toy.TemplatedScorer;
import dev.whence.attribution.toy.ToyTemplate;
import dev.whence.conversation.Citation;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Span;
import dev.whence.conversation.Trust;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Which parts of a prompt are sources, and what an answer cites of them. */
class AttributorSourcesTest extends ToyAttribution {
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
}
