package dev.whence.conversation;

import java.time.Instant;
import java.util.List;
import java.util.Map;

/**
 * A {@link Conversation} by the names of what is known of it. What is not said is empty, and the
 * time {@link Instant#EPOCH}, which means unknown. For one thread.
 */
public final class ConversationBuilder {
  private String responseId;
  private String model = "";
  private Instant occurredAt = Instant.EPOCH;
  private List<Message> messages = List.of();
  private String reasoning = "";
  private String response = "";
  private String finishReason = "";
  private List<Citation> citations = List.of();
  private String tools = "";
  private String conversationId = "";
  private String subjectId = "";
  private String traceparent = "";
  private Map<String, String> attributes = Map.of();

  ConversationBuilder(String responseId) {
    this.responseId = responseId;
  }

  ConversationBuilder(Conversation of) {
    this.responseId = of.responseId();
    this.model = of.model();
    this.occurredAt = of.occurredAt();
    this.messages = of.messages();
    this.reasoning = of.reasoning();
    this.response = of.response();
    this.finishReason = of.finishReason();
    this.citations = of.citations();
    this.tools = of.tools();
    this.conversationId = of.conversationId();
    this.subjectId = of.subjectId();
    this.traceparent = of.traceparent();
    this.attributes = of.attributes();
  }

  public ConversationBuilder responseId(String responseId) {
    this.responseId = responseId;
    return this;
  }

  public ConversationBuilder model(String model) {
    this.model = model;
    return this;
  }

  public ConversationBuilder occurredAt(Instant occurredAt) {
    this.occurredAt = occurredAt;
    return this;
  }

  public ConversationBuilder messages(List<Message> messages) {
    this.messages = messages;
    return this;
  }

  public ConversationBuilder reasoning(String reasoning) {
    this.reasoning = reasoning;
    return this;
  }

  public ConversationBuilder response(String response) {
    this.response = response;
    return this;
  }

  public ConversationBuilder finishReason(String finishReason) {
    this.finishReason = finishReason;
    return this;
  }

  public ConversationBuilder citations(List<Citation> citations) {
    this.citations = citations;
    return this;
  }

  public ConversationBuilder tools(String tools) {
    this.tools = tools;
    return this;
  }

  public ConversationBuilder conversationId(String conversationId) {
    this.conversationId = conversationId;
    return this;
  }

  public ConversationBuilder subjectId(String subjectId) {
    this.subjectId = subjectId;
    return this;
  }

  public ConversationBuilder traceparent(String traceparent) {
    this.traceparent = traceparent;
    return this;
  }

  public ConversationBuilder attributes(Map<String, String> attributes) {
    this.attributes = attributes;
    return this;
  }

  /**
   * What was said so far.
   *
   * @throws IllegalArgumentException as the constructor of {@link Conversation}
   */
  public Conversation build() {
    return new Conversation(
        responseId,
        model,
        occurredAt,
        messages,
        reasoning,
        response,
        finishReason,
        citations,
        tools,
        conversationId,
        subjectId,
        traceparent,
        attributes);
  }
}
