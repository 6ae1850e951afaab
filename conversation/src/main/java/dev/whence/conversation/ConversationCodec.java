package dev.whence.conversation;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Instant;
import java.util.List;
import java.util.TreeMap;

/**
 * Conversations as JSON Lines: one object per line, in the form that OpenAI-style logs have, with
 * parts that say what they are (retrieved document, question, ...).
 *
 * <p>Reading fills in what the line leaves open (see {@link ConversationReader}); writing states
 * everything, so {@code read(write(c))} equals {@code c} for any conversation that was read.
 * Untrusted lines are bounded: {@value Json#MAX_LINE_LENGTH} characters, strings of {@value
 * Json#MAX_STRING_LENGTH}, {@value Json#MAX_NESTING} levels, numbers of {@value
 * Json#MAX_NUMBER_LENGTH} digits, {@value Json#MAX_TOKENS} JSON tokens.
 */
public final class ConversationCodec {
  private ConversationCodec() {}

  /**
   * Reads a prompt with its response.
   *
   * @param line one JSON object
   * @throws ConversationFormatException naming the field that is wrong, never its value
   */
  public static Conversation read(String line) {
    return new ConversationReader(Json.object(line), true).read();
  }

  /**
   * Reads a prompt that may not have been answered yet: as {@link #read}, but without a {@code
   * response} the response is empty.
   *
   * @param line one JSON object
   * @throws ConversationFormatException naming the field that is wrong, never its value
   */
  public static Conversation readPrompt(String line) {
    return new ConversationReader(Json.object(line), false).read();
  }

  /**
   * Writes a conversation as one line, without a line break at its end.
   *
   * @throws IllegalArgumentException if {@code tools} or a message's {@code toolCalls} is not JSON
   *     text, or if one of several messages has the role {@link Message#RAW}
   */
  public static String write(Conversation conversation) {
    ObjectNode line = Json.newObject();
    line.put("responseId", conversation.responseId());
    putIfPresent(line, "model", conversation.model());
    if (!conversation.occurredAt().equals(Instant.EPOCH)) {
      line.put("occurredAt", conversation.occurredAt().toString());
    }
    if (conversation.isRaw()) {
      writeRaw(line, conversation.messages().get(0));
    } else {
      ArrayNode messages = line.putArray("messages");
      for (Message message : conversation.messages()) {
        writeMessage(messages.addObject(), message);
      }
    }
    if (!conversation.tools().isEmpty()) {
      line.set("tools", jsonOf("tools", conversation.tools()));
    }
    putIfPresent(line, "reasoning", conversation.reasoning());
    line.put("response", conversation.response());
    putIfPresent(line, "finishReason", conversation.finishReason());
    if (!conversation.citations().isEmpty()) {
      ArrayNode citations = line.putArray("citations");
      for (Citation citation : conversation.citations()) {
        citations
            .addObject()
            .put("segment", citation.segment())
            .put("start", citation.span().start())
            .put("end", citation.span().end());
      }
    }
    putIfPresent(line, "conversationId", conversation.conversationId());
    putIfPresent(line, "subjectId", conversation.subjectId());
    putIfPresent(line, "traceparent", conversation.traceparent());
    if (!conversation.attributes().isEmpty()) {
      ObjectNode attributes = line.putObject("attributes");
      new TreeMap<>(conversation.attributes()).forEach(attributes::put);
    }
    return Json.text(line);
  }

  private static void writeRaw(ObjectNode line, Message message) {
    if (!message.name().isEmpty()
        || !message.toolCalls().isEmpty()
        || !message.toolCallId().isEmpty()) {
      throw new IllegalArgumentException("a raw prompt has no name, toolCalls or toolCallId");
    }
    writeParts(line.putArray("prompt"), message.parts());
  }

  private static void writeMessage(ObjectNode to, Message message) {
    if (message.role().equals(Message.RAW)) {
      throw new IllegalArgumentException("a raw prompt is one message, not one of several");
    }
    to.put("role", message.role());
    putIfPresent(to, "name", message.name());
    putIfPresent(to, "tool_call_id", message.toolCallId());
    if (message.toolCalls().isEmpty()) {
      writeParts(to.putArray("content"), message.parts());
    } else {
      if (message.parts().isEmpty()) {
        to.putNull("content");
      } else {
        writeParts(to.putArray("content"), message.parts());
      }
      to.set("tool_calls", jsonOf("toolCalls", message.toolCalls()));
    }
  }

  private static void writeParts(ArrayNode to, List<Part> parts) {
    for (Part part : parts) {
      ObjectNode node = to.addObject();
      node.put("kind", part.kind().jsonName());
      node.put("id", part.id());
      putIfPresent(node, "title", part.title());
      putIfPresent(node, "uri", part.uri());
      if (part.trust() != Trust.UNKNOWN) {
        node.put("trust", part.trust().jsonName());
      }
      if (part.attributable() != part.kind().attributableByDefault()) {
        node.put("attributable", part.attributable());
      }
      if (part.kind() != PartKind.MEDIA || !part.text().isEmpty()) {
        node.put("text", part.text());
      }
      if (!part.sources().isEmpty()) {
        ArrayNode sources = node.putArray("sources");
        for (Span span : part.sources()) {
          sources.addArray().add(span.start()).add(span.end());
        }
      }
    }
  }

  private static JsonNode jsonOf(String field, String text) {
    try {
      return Json.parse(text);
    } catch (JsonProcessingException e) {
      // Without the cause: it quotes the text.
      throw new IllegalArgumentException(field + " is not JSON text");
    }
  }

  private static void putIfPresent(ObjectNode to, String name, String value) {
    if (!value.isEmpty()) {
      to.put(name, value);
    }
  }
}
