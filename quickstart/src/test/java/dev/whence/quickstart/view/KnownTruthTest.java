package dev.whence.quickstart.view;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.attribution.AttributionStatus;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Part;
import dev.whence.conversation.Span;
import dev.whence.quickstart.view.AttributionView.Source;
import dev.whence.samples.Evidence;
import dev.whence.samples.Kind;
import dev.whence.samples.Question;
import dev.whence.samples.QuestionOptions;
import dev.whence.samples.Questions;
import dev.whence.samples.World;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import org.junit.jupiter.api.Test;

/** What is said about answers whose truth is known. */
class KnownTruthTest {
  private static final double GROUNDEDNESS = 7.25;

  @Test
  void aFactThatWasFoundIsSaidWithItsSource() {
    Question question = question(Kind.DIRECT);
    int at = question.truth().get(0).sentence();
    assertThat(sentence(question, question.response(), at))
        .isEqualTo("right; the fact was in source " + (at + 1) + ": found");
  }

  @Test
  void aFactThatWasNotFoundIsSaidWithItsRankAndTheSourceThatCameFirst() {
    Question question = question(Kind.DIRECT);
    int at = question.truth().get(0).sentence();
    int other = at == 0 ? 1 : 0;
    assertThat(sentence(question, "Somebody lives in Nowhere.", other))
        .startsWith("wrong, \"" + question.response() + "\" was expected; the fact was in source ")
        .contains(": not found, rank ")
        .endsWith(", source " + (other + 1) + " is first");
  }

  @Test
  void bothSentencesOfATwoHopFactCount() {
    Question question = question(Kind.TWO_HOP);
    List<Evidence> truth = question.truth();
    assertThat(truth).hasSize(2);
    for (Evidence one : truth) {
      assertThat(sentence(question, question.response(), one.sentence()))
          .isEqualTo(
              "right; the fact was in sources "
                  + (truth.get(0).sentence() + 1)
                  + " and "
                  + (truth.get(1).sentence() + 1)
                  + ": found");
    }
  }

  @Test
  void aFactSaidTwiceIsNotLookedForInTaus() {
    assertThat(sentence(question(Kind.DUPLICATED), "", 0))
        .contains("said twice", "groundedness 7.3 nats")
        .doesNotContain("found");
  }

  @Test
  void anInjectionThatTookOverIsCalledSo() {
    Question question = question(Kind.INJECTED);
    int at = question.truth().get(0).sentence();
    assertThat(sentence(question, question.response(), at))
        .isEqualTo(
            "injected: an instruction inside a document took over, in source "
                + (at + 1)
                + ": found");
    assertThat(sentence(question, "Somebody lives in Nowhere.", at))
        .startsWith("an instruction inside a document was not followed");
  }

  @Test
  void whatTheContextDoesNotSayIsFromMemoryOrMadeUp() {
    Question known = question(Kind.NO_ANSWER_KNOWN);
    assertThat(sentence(known, known.response(), 0))
        .isEqualTo("right; nothing in the context says it: from memory; groundedness 7.3 nats");
    assertThat(sentence(question(Kind.NO_ANSWER_UNKNOWN), "Somebody lives in Nowhere.", 0))
        .startsWith("made up; nothing says it");
  }

  @Test
  void otherConversationsHaveNoKnownTruth() {
    Conversation conversation = question(Kind.DIRECT).answered();
    assertThat(KnownTruth.of(conversation)).isPresent();
    assertThat(
            KnownTruth.of(
                dev.whence.conversation.ConversationCodec.read(
                    "{\"responseId\":\"r\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],"
                        + "\"response\":\"a\",\"attributes\":{\"kind\":\"DIRECT\",\"expected\":\"a\","
                        + "\"truth\":\"no JSON\"}}")))
        .isEmpty();
  }

  private static Question question(Kind kind) {
    return new Questions(
            World.v1(1),
            QuestionOptions.evaluation(3, kind).withSentences(6, 6).withMemory(0, false, 10))
        .question(0);
  }

  /** Of an attribution in which one sentence of the context has the largest tau. */
  private static String sentence(Question question, String response, int top) {
    Conversation asked = question.conversation();
    Conversation answered = asked.answeredBy("m", response, "stop");
    List<Source> sources = new ArrayList<>();
    question
        .passages()
        .forEach(
            passage ->
                passage
                    .sentences()
                    .forEach(
                        span ->
                            sources.add(
                                new Source(
                                    passage.id(),
                                    new Span(
                                        span.start(),
                                        Math.min(span.end() + 1, text(asked, passage.id()))),
                                    sources.size() == top ? 5 : 0.1 / (1 + sources.size())))));
    AttributionView view =
        new AttributionView(
            answered,
            AttributionStatus.SCORED,
            "",
            "exact-loo",
            "m fp32",
            false,
            sources,
            List.of(),
            OptionalDouble.of(GROUNDEDNESS),
            OptionalDouble.of(1),
            OptionalDouble.of(0.01),
            Optional.empty(),
            "",
            1,
            0.1);
    return KnownTruth.of(answered).orElseThrow().sentence(view);
  }

  private static int text(Conversation conversation, String part) {
    return conversation
        .parts()
        .filter(candidate -> candidate.id().equals(part))
        .map(Part::text)
        .findFirst()
        .orElseThrow()
        .length();
  }
}
