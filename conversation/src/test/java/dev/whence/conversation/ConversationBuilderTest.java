package dev.whence.conversation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Conversations by the names of what is known. */
class ConversationBuilderTest {
  private static final Conversation WHOLE =
      new Conversation(
          "r-1",
          "acme/chat-1",
          Instant.parse("2026-11-22T10:00:00Z"),
          List.of(Message.of("user", List.of(Part.of(PartKind.QUESTION, "q", "Why? ")))),
          "hm",
          "So.",
          "stop",
          List.of(new Citation("q", new Span(0, 2))),
          "[]",
          "conversation-1",
          "subject-1",
          "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
          Map.of("app", "support"));

  @Test
  void nothingGetsLostOnTheWay() {
    assertThat(WHOLE.toBuilder().build()).isEqualTo(WHOLE);
    assertThat(
            Conversation.builder("r-1")
                .model(WHOLE.model())
                .occurredAt(WHOLE.occurredAt())
                .messages(WHOLE.messages())
                .reasoning(WHOLE.reasoning())
                .response(WHOLE.response())
                .finishReason(WHOLE.finishReason())
                .citations(WHOLE.citations())
                .tools(WHOLE.tools())
                .conversationId(WHOLE.conversationId())
                .subjectId(WHOLE.subjectId())
                .traceparent(WHOLE.traceparent())
                .attributes(WHOLE.attributes())
                .build())
        .isEqualTo(WHOLE);
  }

  @Test
  void whatIsNotSaidIsEmpty() {
    assertThat(Conversation.builder("r").messages(WHOLE.messages()).build())
        .isEqualTo(
            new Conversation(
                "r",
                "",
                Instant.EPOCH,
                WHOLE.messages(),
                "",
                "",
                "",
                List.of(),
                "",
                "",
                "",
                "",
                Map.of()));
  }

  @Test
  void whatNoConversationMayBeIsRefusedAsItIsBuilt() {
    assertThatThrownBy(() -> Conversation.builder("r").build())
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("messages is empty");
    assertThatThrownBy(() -> WHOLE.toBuilder().response("S").build())
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("a citation ends at 2");
  }
}
