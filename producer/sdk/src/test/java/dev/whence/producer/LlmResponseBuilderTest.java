package dev.whence.producer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.conversation.Citation;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Span;
import dev.whence.conversation.Trust;
import dev.whence.schemas.LlmResponses;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class LlmResponseBuilderTest {

  @Test
  void fiveLinesMakeAResponseFromMessagesAndDocuments() {
    Conversation made =
        LlmResponses.fromAvro(
            new LlmResponseBuilder()
                .model("acme/chat-1")
                .system("Answer from the documents.")
                .document("doc-7", "Leland", "Leland was born in Ohio. ")
                .user("Where was Leland born?")
                .answer("In Ohio.", "stop")
                .build());

    assertThat(made.model()).isEqualTo("acme/chat-1");
    assertThat(made.messages())
        .containsExactly(
            Message.of(
                "system",
                List.of(Part.of(PartKind.INSTRUCTION, "m0.p0", "Answer from the documents."))),
            Message.of(
                "user",
                List.of(
                    new Part(
                        PartKind.RETRIEVED,
                        "doc-7",
                        "Leland",
                        "",
                        Trust.RETRIEVED,
                        "Leland was born in Ohio. ",
                        true,
                        List.of()),
                    Part.of(PartKind.QUESTION, "m1.p1", "Where was Leland born?"))));
    assertThat(made.response()).isEqualTo("In Ohio.");
    assertThat(made.finishReason()).isEqualTo("stop");
  }

  @Test
  void earlierTurnsAreHistoryAndToolsGiveToolOutput() {
    Conversation made =
        LlmResponses.fromAvro(
            new LlmResponseBuilder()
                .user("first")
                .assistant("and?")
                .tool("42")
                .user("last")
                .answer("42", "stop")
                .build());

    assertThat(made.parts().map(Part::kind))
        .containsExactly(
            PartKind.HISTORY, PartKind.HISTORY, PartKind.TOOL_OUTPUT, PartKind.QUESTION);
    assertThat(made.parts().map(Part::attributable)).containsExactly(true, true, true, false);
  }

  @Test
  void documentsAfterWhichNothingIsSaidAreAMessageOfTheirOwn() {
    Conversation made =
        LlmResponses.fromAvro(
            new LlmResponseBuilder().user("q: ").document("d", "t", "text").build());

    assertThat(made.messages()).hasSize(2);
    assertThat(made.messages().get(0).parts().get(0).kind()).isEqualTo(PartKind.HISTORY);
    assertThat(made.messages().get(1).content()).isEqualTo("text");
  }

  @Test
  void everythingElseThatAResponseHasCanBeSaid() {
    Message own = new Message("assistant", List.of(), "bot", "[{\"id\":\"c1\"}]", "");
    Conversation made =
        LlmResponses.fromAvro(
            new LlmResponseBuilder()
                .responseId("r-1")
                .occurredAt(Instant.parse("2026-11-22T10:00:00Z"))
                .message(own)
                .document("d", "t", "u:d", Trust.UNTRUSTED, "text")
                .user("q")
                .reasoning("hm")
                .answer("yes", "length")
                .cites("d", 0, 3)
                .tools("[]")
                .conversationId("c")
                .subjectId("s")
                .traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
                .attribute("app", "support")
                .build());

    assertThat(made)
        .isEqualTo(
            Conversation.builder("r-1")
                .occurredAt(Instant.parse("2026-11-22T10:00:00Z"))
                .messages(
                    List.of(
                        own,
                        Message.of(
                            "user",
                            List.of(
                                new Part(
                                    PartKind.RETRIEVED,
                                    "d",
                                    "t",
                                    "u:d",
                                    Trust.UNTRUSTED,
                                    "text",
                                    true,
                                    List.of()),
                                Part.of(PartKind.QUESTION, "m1.p1", "q")))))
                .reasoning("hm")
                .response("yes")
                .finishReason("length")
                .citations(List.of(new Citation("d", new Span(0, 3))))
                .tools("[]")
                .conversationId("c")
                .subjectId("s")
                .traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
                .attributes(Map.of("app", "support"))
                .build());
  }

  @Test
  void idAndTimeAreGivenWhereTheCallerGivesNone() {
    Instant before = Instant.now().minusMillis(1);
    LlmResponseBuilder builder = new LlmResponseBuilder().user("q").answer("a", "stop");

    assertThat(builder.build().getResponseId()).hasSize(36);
    assertThat(builder.build().getResponseId()).isNotEqualTo(builder.build().getResponseId());
    assertThat(builder.build().getOccurredAt()).isBetween(before, Instant.now());
  }

  @Test
  void aResponseWithoutAMessageIsRefused() {
    assertThatThrownBy(() -> new LlmResponseBuilder().answer("a", "stop").build())
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("messages is empty");
  }

  @Test
  void anIdThatComesAgainIsNumberedInTheOrderOfThePrompt() {
    Conversation made =
        LlmResponses.fromAvro(
            new LlmResponseBuilder()
                .document("doc-7", "t", "first chunk")
                .document("doc-7", "t", "second chunk")
                .document("doc-7#2", "t", "of that name")
                .user("q")
                .message(Message.of("user", List.of(Part.of(PartKind.RETRIEVED, "doc-7", "again"))))
                .answer("a", "stop")
                .cites("doc-7", 0, 1)
                .build());

    assertThat(made.parts().map(Part::id))
        .containsExactly("doc-7", "doc-7#3", "doc-7#2", "m0.p3", "doc-7#4");
    assertThat(made.parts().map(Part::text))
        .containsExactly("first chunk", "second chunk", "of that name", "q", "again");
  }

  @Test
  void aNullIsTheSameAsAnEmptyText() {
    Conversation made =
        LlmResponses.fromAvro(
            new LlmResponseBuilder()
                .responseId(null)
                .model(null)
                .occurredAt(null)
                .system(null)
                .document(null, null, null)
                .document(null, null, null, null, null)
                .user("q")
                .reasoning(null)
                .answer(null, null)
                .tools(null)
                .conversationId(null)
                .subjectId(null)
                .traceparent(null)
                .attribute("app", null)
                .build());

    assertThat(made.responseId()).hasSize(36);
    assertThat(made.response() + made.finishReason() + made.model() + made.reasoning()).isEmpty();
    assertThat(made.parts().map(Part::id)).containsExactly("m0.p0", "m1.p0", "m1.p1", "m1.p2");
    assertThat(made.attributes()).isEqualTo(Map.of("app", ""));
  }
}
