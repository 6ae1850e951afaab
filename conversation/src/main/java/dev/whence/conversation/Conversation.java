package dev.whence.conversation;

import java.time.Instant;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/**
 * One production response with the prompt it answered. Absent texts are empty strings.
 *
 * @param responseId unique name of the response
 * @param model that gave it, as production names it, or empty
 * @param occurredAt when, in the years 1 to 9999; {@link Instant#EPOCH} if unknown
 * @param messages the prompt; a raw prompt is one message of role {@link Message#RAW}
 * @param reasoning what a reasoning model thought before it answered, or empty
 * @param response the answer
 * @param finishReason "stop", "length", "tool_calls", ..., or empty if unknown
 * @param citations what the answer cites
 * @param tools the tool definitions given to the template, as JSON text, or empty
 * @param conversationId groups responses, or empty
 * @param subjectId whom the data is about (for erasure), or empty
 * @param traceparent W3C trace context, or empty
 * @param attributes free texts by name
 */
public record Conversation(
    String responseId,
    String model,
    Instant occurredAt,
    List<Message> messages,
    String reasoning,
    String response,
    String finishReason,
    List<Citation> citations,
    String tools,
    String conversationId,
    String subjectId,
    String traceparent,
    Map<String, String> attributes) {

  /** Characters that the name of a response may have, also as the key of its records. */
  public static final int LONGEST_ID = 256;

  /** The calendar of Python's datetime: a reader in Python stops at any other time. */
  private static final Instant EARLIEST = Instant.parse("0001-01-01T00:00:00Z");

  private static final Instant LATEST = Instant.parse("9999-12-31T23:59:59.999999999Z");

  public Conversation {
    messages = List.copyOf(messages);
    citations = List.copyOf(citations);
    attributes = Map.copyOf(attributes);
    if (responseId.isEmpty()) {
      throw new IllegalArgumentException("responseId is empty");
    }
    if (!isReadableTime(occurredAt)) {
      throw new IllegalArgumentException(
          "occurredAt is not in the years 1 to 9999; milliseconds since 1970 are expected");
    }
    if (messages.isEmpty()) {
      throw new IllegalArgumentException("messages is empty");
    }
    Set<String> ids = new HashSet<>();
    for (Message message : messages) {
      for (Part part : message.parts()) {
        if (!ids.add(part.id())) {
          throw new IllegalArgumentException("two parts have the same id");
        }
      }
    }
    for (Citation citation : citations) {
      if (citation.span().end() > response.length()) {
        throw new IllegalArgumentException(
            "a citation ends at "
                + citation.span().end()
                + ", after the response, which has "
                + response.length()
                + " UTF-16 code units");
      }
    }
  }

  /** Begins one of which only the name of its response is known. */
  public static ConversationBuilder builder(String responseId) {
    return new ConversationBuilder(responseId);
  }

  /** Begins one that differs from this in what is said. */
  public ConversationBuilder toBuilder() {
    return new ConversationBuilder(this);
  }

  /** Whether clients in every language can read the time. */
  static boolean isReadableTime(Instant time) {
    return !time.isBefore(EARLIEST) && !time.isAfter(LATEST);
  }

  /** Whether the prompt is raw text: no chat template is applied to it. */
  public boolean isRaw() {
    return messages.size() == 1 && messages.get(0).role().equals(Message.RAW);
  }

  /**
   * The same prompt with another answer, which cites nothing and was not thought about before.
   *
   * @param model that gave it
   */
  public Conversation answeredBy(String model, String response, String finishReason) {
    return new Conversation(
        responseId,
        model,
        occurredAt,
        messages,
        "",
        response,
        finishReason,
        List.of(),
        tools,
        conversationId,
        subjectId,
        traceparent,
        attributes);
  }

  public Stream<Part> parts() {
    return messages.stream().flatMap(message -> message.parts().stream());
  }
}
