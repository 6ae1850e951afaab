package dev.whence.producer;

import dev.whence.conversation.Citation;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationBuilder;
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
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import org.jspecify.annotations.Nullable;

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
 * Without an id the response gets a random one, without a time it occurred now. A null is the same
 * as an empty text: an answer that is a tool call has none. Where an id of a document comes again,
 * its parts are {@code doc-7}, {@code doc-7#2}, {@code doc-7#3}, in the order of the prompt. Not
 * for use by several threads at once.
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
  private final ConversationBuilder known = Conversation.builder("");
  private String responseId = "";
  private Instant occurredAt = Instant.EPOCH;

  public LlmResponseBuilder responseId(@Nullable String id) {
    responseId = text(id);
    return this;
  }

  /** The model as production names it. */
  public LlmResponseBuilder model(@Nullable String name) {
    known.model(text(name));
    return this;
  }

  public LlmResponseBuilder occurredAt(@Nullable Instant time) {
    occurredAt = time == null ? Instant.EPOCH : time;
    return this;
  }

  public LlmResponseBuilder system(@Nullable String text) {
    return own("system", text);
  }

  /** What the user said; documents given before it stand before it in the same message. */
  public LlmResponseBuilder user(@Nullable String text) {
    return own("user", text);
  }

  /** What the assistant said earlier in the conversation. */
  public LlmResponseBuilder assistant(@Nullable String text) {
    return own("assistant", text);
  }

  /** What a tool gave back. */
  public LlmResponseBuilder tool(@Nullable String text) {
    return own("tool", text);
  }

  /** A retrieved document that went into the prompt before the text of the next message. */
  public LlmResponseBuilder document(
      @Nullable String id, @Nullable String title, @Nullable String text) {
    return document(id, title, "", Trust.RETRIEVED, text);
  }

  /** A retrieved document with its address and who vouches for it. */
  public LlmResponseBuilder document(
      @Nullable String id,
      @Nullable String title,
      @Nullable String uri,
      @Nullable Trust trust,
      @Nullable String text) {
    documents.add(
        new DraftPart(
            true,
            text(id),
            text(title),
            text(uri),
            trust == null ? Trust.UNKNOWN : trust,
            text(text)));
    return this;
  }

  /** A message in full: tool calls, parts of any kind, spans of the caller's own. */
  public LlmResponseBuilder message(Message message) {
    turns.add(new Whole(message));
    return this;
  }

  /** What a reasoning model thought before it answered. */
  public LlmResponseBuilder reasoning(@Nullable String text) {
    known.reasoning(text(text));
    return this;
  }

  /**
   * The response.
   *
   * @param finishReason "stop", "length", ...; empty if unknown
   */
  public LlmResponseBuilder answer(@Nullable String text, @Nullable String finishReason) {
    known.response(text(text)).finishReason(text(finishReason));
    return this;
  }

  /**
   * The response says that its characters from start to end rest on a document; of an id that comes
   * several times {@code doc-7} is the first part, {@code doc-7#2} the second.
   */
  public LlmResponseBuilder cites(String document, int start, int end) {
    citations.add(new Citation(document, new Span(start, end)));
    return this;
  }

  /** Tool definitions given to the model, as JSON text. */
  public LlmResponseBuilder tools(@Nullable String json) {
    known.tools(text(json));
    return this;
  }

  public LlmResponseBuilder conversationId(@Nullable String id) {
    known.conversationId(text(id));
    return this;
  }

  /** Whom the data is about, so that it can be erased. */
  public LlmResponseBuilder subjectId(@Nullable String id) {
    known.subjectId(text(id));
    return this;
  }

  /** W3C trace context of the request. */
  public LlmResponseBuilder traceparent(@Nullable String context) {
    known.traceparent(text(context));
    return this;
  }

  public LlmResponseBuilder attribute(String name, @Nullable String text) {
    attributes.put(name, text(text));
    return this;
  }

  /**
   * The record.
   *
   * @throws IllegalArgumentException if there is no message, or if a citation ends after the
   *     response
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
    return known
        .responseId(responseId.isEmpty() ? UUID.randomUUID().toString() : responseId)
        .occurredAt(occurredAt.equals(Instant.EPOCH) ? Instant.now() : occurredAt)
        .messages(withUniqueIds(messages))
        .citations(citations)
        .attributes(attributes)
        .build();
  }

  /**
   * The second part of an id gets "#2" behind it, and so on: two chunks of a document, or one that
   * was retrieved again in a later turn, are ordinary, and no reason to lose the response.
   */
  private static List<Message> withUniqueIds(List<Message> messages) {
    Set<String> given = new HashSet<>();
    messages.forEach(message -> message.parts().forEach(part -> given.add(part.id())));
    Set<String> taken = new HashSet<>();
    List<Message> unique = new ArrayList<>();
    for (Message message : messages) {
      List<Part> parts = new ArrayList<>();
      for (Part part : message.parts()) {
        String id = part.id();
        if (!taken.add(id)) {
          for (int n = 2; given.contains(id) || !taken.add(id); n++) {
            id = part.id() + "#" + n;
          }
        }
        parts.add(withId(part, id));
      }
      unique.add(
          new Message(
              message.role(), parts, message.name(), message.toolCalls(), message.toolCallId()));
    }
    return unique;
  }

  private static Part withId(Part part, String id) {
    return new Part(
        part.kind(),
        id,
        part.title(),
        part.uri(),
        part.trust(),
        part.text(),
        part.attributable(),
        part.sources());
  }

  private static String text(@Nullable String text) {
    return text == null ? "" : text;
  }

  private LlmResponseBuilder own(String role, @Nullable String text) {
    List<DraftPart> parts = new ArrayList<>(documents);
    documents.clear();
    parts.add(DraftPart.own(text(text)));
    turns.add(new Draft(role, parts));
    return this;
  }
}
