package dev.whence.producer;

import dev.whence.schemas.avro.LlmResponse;
import dev.whence.schemas.avro.PromptMessage;
import dev.whence.schemas.avro.PromptPart;
import dev.whence.schemas.avro.ResponseCitation;

/**
 * About how many bytes of memory a response takes: two for each UTF-16 code unit, and a flat rate
 * for each object. Only texts are looked at, and only their lengths, so it costs the caller next to
 * nothing.
 */
final class Footprint {
  private static final long OBJECT = 64;
  private static final long SPAN = 16;

  private Footprint() {}

  static long of(LlmResponse response) {
    long bytes =
        text(response.getResponseId())
            + text(response.getModel())
            + text(response.getReasoning())
            + text(response.getResponse())
            + text(response.getFinishReason())
            + text(response.getTools())
            + text(response.getConversationId())
            + text(response.getSubjectId())
            + text(response.getTraceparent());
    for (ResponseCitation citation : response.getCitations()) {
      bytes += text(citation.getSegment()) + SPAN;
    }
    for (PromptMessage message : response.getMessages()) {
      bytes += text(message.getRole()) + text(message.getName()) + OBJECT;
      bytes += text(message.getToolCalls()) + text(message.getToolCallId());
      for (PromptPart part : message.getParts()) {
        bytes += text(part.getText()) + text(part.getTitle()) + text(part.getUri());
        bytes += text(part.getId()) + OBJECT + SPAN * part.getSources().size();
      }
    }
    for (var attribute : response.getAttributes().entrySet()) {
      bytes += text(attribute.getKey()) + text(attribute.getValue());
    }
    return bytes;
  }

  private static long text(String text) {
    return OBJECT + 2L * text.length();
  }
}
