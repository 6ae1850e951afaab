package dev.whence.producer;

import dev.whence.conversation.Citation;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Span;
import dev.whence.conversation.Trust;
import dev.whence.schemas.LlmResponses;
import dev.whence.schemas.avro.LlmResponse;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/**
 * Makes an {@link LlmResponse} from messages and documents, in the order in which they went into
 * the prompt. The texts of a message are concatenated as they stand, separators are the caller's:
 *
 * <pre>{@code
 * new LlmResponseBuilder().model("acme/chat-1")
 *     .system("Answer from the documents.")
 *     .document("doc-7", "Leland", "Leland was born in Ohio. ")
 *     .user("Where was Leland born?")
 *     .answer("In Ohio.", "stop")
 * }</pre>
 *
 * Without an id the response gets a random one, without a time it occurred now. Not for use by
 * several threads at once.
 */
public final class LlmResponseBuilder {
  /** A message of the prompt, finished when its place among the others is known. */
  private sealed interface Turn {
    String role();

    Message finish(int index, boolean lastUser);
  }

  /** A message as the caller made it. */
  private record Whole(Message message) implements Turn {
    @Override
    public String role() {
      return message.role();
    }

    @Override
    public Message finish(int index, boolean lastUser) {
      return message;
    }
  }

  /** A message whose parts get their kind and id from its place. */
  private record Draft(String role, List<DraftPart> parts) implements Turn {
    @Override
    public Message finish(int index, boolean lastUser) {
      PartKind own = PartKind.ofRole(role, lastUser);
      List<Part> finished = new ArrayList<>();
      for (int j = 0; j < parts.size(); j++) {
        DraftPart part = parts.get(j);
        PartKind kind = part.document() ? PartKind.RETRIEVED : own;
        finished.add(
            new Part(
                kind,
                part.id().isEmpty() ? "m" + index + ".p" + j : part.id(),
                part.title(),
                part.uri(),
                part.trust(),
                part.text(),
                kind.attributableByDefault(),
                List.of()));
      }
      return Message.of(role, finished);
    }
  }

  /** Either text of the message's own, or a document. */
  private record DraftPart(
      boolean document, String id, String title, String uri, Trust trust, String text) {
    static DraftPart own(String text) {
      return new DraftPart(false, "", "", "", Trust.UNKNOWN, text);
    }
  }

  private final List<Turn> turns = new ArrayList<>();
  private final List<DraftPart> documents = new ArrayList<>();
  private final List<Citation> citations = new ArrayList<>();
  private final Map<String, String> attributes = new HashMap<>();
  private String responseId = "";
  private String model = "";
  private Instant occurredAt = Instant.EPOCH;
  private String reasoning = "";
  private String response = "";
  private String finishReason = "";
  private String tools = "";
  private String conversationId = "";
  private String subjectId = "";
  private String traceparent = "";

  public LlmResponseBuilder responseId(String id) {
    responseId = id;
    return this;
  }

  /** The model as production names it. */
  public LlmResponseBuilder model(String name) {
    model = name;
    return this;
  }

  public LlmResponseBuilder occurredAt(Instant time) {
    occurredAt = time;
    return this;
  }

  public LlmResponseBuilder system(String text) {
    return own("system", text);
  }

  /** What the user said; documents given before it stand before it in the same message. */
  public LlmResponseBuilder user(String text) {
    return own("user", text);
  }

  /** What the assistant said earlier in the conversation. */
  public LlmResponseBuilder assistant(String text) {
    return own("assistant", text);
  }

  /** What a tool gave back. */
  public LlmResponseBuilder tool(String text) {
    return own("tool", text);
  }

  /** A retrieved document that went into the prompt before the text of the next message. */
  public LlmResponseBuilder document(String id, String title, String text) {
    return document(id, title, "", Trust.RETRIEVED, text);
  }

  /** A retrieved document with its address and who vouches for it. */
  public LlmResponseBuilder document(
      String id, String title, String uri, Trust trust, String text) {
    documents.add(new DraftPart(true, id, title, uri, trust, text));
    return this;
  }

  /** A message in full: tool calls, parts of any kind, spans of the caller's own. */
  public LlmResponseBuilder message(Message message) {
    turns.add(new Whole(message));
    return this;
  }

  /** What a reasoning model thought before it answered. */
  public LlmResponseBuilder reasoning(String text) {
    reasoning = text;
    return this;
  }

  /**
   * The response.
   *
   * @param finishReason "stop", "length", ...; empty if unknown
   */
  public LlmResponseBuilder answer(String text, String finishReason) {
    response = text;
    this.finishReason = finishReason;
    return this;
  }

  /** The response says that its characters from start to end rest on a document. */
  public LlmResponseBuilder cites(String document, int start, int end) {
    citations.add(new Citation(document, new Span(start, end)));
    return this;
  }

  /** Tool definitions given to the model, as JSON text. */
  public LlmResponseBuilder tools(String json) {
    tools = json;
    return this;
  }

  public LlmResponseBuilder conversationId(String id) {
    conversationId = id;
    return this;
  }

  /** Whom the data is about, so that it can be erased. */
  public LlmResponseBuilder subjectId(String id) {
    subjectId = id;
    return this;
  }

  /** W3C trace context of the request. */
  public LlmResponseBuilder traceparent(String context) {
    traceparent = context;
    return this;
  }

  public LlmResponseBuilder attribute(String name, String text) {
    attributes.put(name, text);
    return this;
  }

  /**
   * The record.
   *
   * @throws IllegalArgumentException if there is no message, if two documents have the same id, or
   *     if a citation ends after the response
   */
  public LlmResponse build() {
    return LlmResponses.toAvro(conversation());
  }

  private Conversation conversation() {
    List<Turn> all = new ArrayList<>(turns);
    if (!documents.isEmpty()) {
      // Nothing was said after them: they are a message of their own.
      all.add(new Draft("user", List.copyOf(documents)));
    }
    int lastUser = -1;
    for (int i = 0; i < all.size(); i++) {
      if (all.get(i).role().equals("user")) {
        lastUser = i;
      }
    }
    List<Message> messages = new ArrayList<>();
    for (int i = 0; i < all.size(); i++) {
      messages.add(all.get(i).finish(i, i == lastUser));
    }
    return new Conversation(
        responseId.isEmpty() ? UUID.randomUUID().toString() : responseId,
        model,
        occurredAt.equals(Instant.EPOCH) ? Instant.now() : occurredAt,
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

  private LlmResponseBuilder own(String role, String text) {
    List<DraftPart> parts = new ArrayList<>(documents);
    documents.clear();
    parts.add(DraftPart.own(text));
    turns.add(new Draft(role, parts));
    return this;
  }
}
