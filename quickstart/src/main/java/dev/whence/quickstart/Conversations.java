package dev.whence.quickstart;

import dev.whence.conversation.Conversation;
import java.time.Instant;

/** The same conversation under another id. */
final class Conversations {
  private Conversations() {}

  static Conversation with(Conversation conversation, String responseId, Instant occurredAt) {
    return new Conversation(
        responseId,
        conversation.model(),
        occurredAt,
        conversation.messages(),
        conversation.reasoning(),
        conversation.response(),
        conversation.finishReason(),
        conversation.citations(),
        conversation.tools(),
        conversation.conversationId(),
        conversation.subjectId(),
        conversation.traceparent(),
        conversation.attributes());
  }
}
