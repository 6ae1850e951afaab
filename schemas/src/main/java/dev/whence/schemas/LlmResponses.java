package dev.whence.schemas;

import dev.whence.conversation.Citation;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Span;
import dev.whence.conversation.Trust;
import dev.whence.conversation.WellFormedText;
import dev.whence.schemas.avro.LlmResponse;
import dev.whence.schemas.avro.PromptMessage;
import dev.whence.schemas.avro.PromptPart;
import dev.whence.schemas.avro.ResponseCitation;
import dev.whence.schemas.avro.SegmentKind;
import dev.whence.schemas.avro.SegmentTrust;
import dev.whence.schemas.avro.TextSpan;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Conversations as Avro records and back. Nothing is lost but time below a millisecond. */
public final class LlmResponses {
  private LlmResponses() {}

  /** A record to be written. Unpaired surrogates, which UTF-8 does not have, become U+FFFD. */
  public static LlmResponse toAvro(Conversation conversation) {
    Map<String, String> attributes = new LinkedHashMap<>();
    conversation.attributes().forEach((name, text) -> attributes.put(text(name), text(text)));
    return LlmResponse.newBuilder()
        .setResponseId(text(conversation.responseId()))
        .setModel(text(conversation.model()))
        .setOccurredAt(conversation.occurredAt().truncatedTo(ChronoUnit.MILLIS))
        .setMessages(conversation.messages().stream().map(LlmResponses::toAvro).toList())
        .setTools(text(conversation.tools()))
        .setReasoning(text(conversation.reasoning()))
        .setResponse(text(conversation.response()))
        .setFinishReason(text(conversation.finishReason()))
        .setCitations(conversation.citations().stream().map(LlmResponses::toAvro).toList())
        .setConversationId(text(conversation.conversationId()))
        .setSubjectId(text(conversation.subjectId()))
        .setTraceparent(text(conversation.traceparent()))
        .setAttributes(attributes)
        .build();
  }

  /**
   * The conversation that a record holds.
   *
   * @throws IllegalArgumentException naming the field if the record is none: no responseId or
   *     messages, spans outside of their text, two parts of one id; never holds a text of it
   */
  public static Conversation fromAvro(LlmResponse response) {
    List<Message> messages = new ArrayList<>(response.getMessages().size());
    for (int i = 0; i < response.getMessages().size(); i++) {
      messages.add(fromAvro(response.getMessages().get(i), "messages[" + i + "]"));
    }
    List<Citation> citations = new ArrayList<>(response.getCitations().size());
    for (int i = 0; i < response.getCitations().size(); i++) {
      ResponseCitation citation = response.getCitations().get(i);
      Span span = span(citation.getStart(), citation.getEnd(), "citations[" + i + "]");
      citations.add(new Citation(citation.getSegment(), span));
    }
    return new Conversation(
        response.getResponseId(),
        response.getModel(),
        response.getOccurredAt(),
        messages,
        response.getReasoning(),
        response.getResponse(),
        response.getFinishReason(),
        citations,
        response.getTools(),
        response.getConversationId(),
        response.getSubjectId(),
        response.getTraceparent(),
        response.getAttributes());
  }

  private static PromptMessage toAvro(Message message) {
    return PromptMessage.newBuilder()
        .setRole(text(message.role()))
        .setName(text(message.name()))
        .setToolCalls(text(message.toolCalls()))
        .setToolCallId(text(message.toolCallId()))
        .setParts(message.parts().stream().map(LlmResponses::toAvro).toList())
        .build();
  }

  private static PromptPart toAvro(Part part) {
    return PromptPart.newBuilder()
        .setId(text(part.id()))
        .setKind(toAvro(part.kind()))
        .setTrust(toAvro(part.trust()))
        .setTitle(text(part.title()))
        .setUri(text(part.uri()))
        .setText(text(part.text()))
        .setAttributable(part.attributable())
        .setSources(part.sources().stream().map(LlmResponses::toAvro).toList())
        .build();
  }

  private static String text(String text) {
    return WellFormedText.of(text);
  }

  private static TextSpan toAvro(Span span) {
    return TextSpan.newBuilder().setStart(span.start()).setEnd(span.end()).build();
  }

  private static ResponseCitation toAvro(Citation citation) {
    return ResponseCitation.newBuilder()
        .setSegment(text(citation.segment()))
        .setStart(citation.span().start())
        .setEnd(citation.span().end())
        .build();
  }

  private static Message fromAvro(PromptMessage message, String path) {
    List<Part> parts = new ArrayList<>(message.getParts().size());
    for (int j = 0; j < message.getParts().size(); j++) {
      parts.add(fromAvro(message.getParts().get(j), path + ".parts[" + j + "]"));
    }
    if (message.getRole().isEmpty()) {
      throw new IllegalArgumentException(path + ".role is empty");
    }
    return new Message(
        message.getRole(),
        parts,
        message.getName(),
        message.getToolCalls(),
        message.getToolCallId());
  }

  private static Part fromAvro(PromptPart part, String path) {
    List<Span> sources = new ArrayList<>(part.getSources().size());
    for (TextSpan span : part.getSources()) {
      sources.add(span(span.getStart(), span.getEnd(), path + ".sources"));
    }
    try {
      return new Part(
          fromAvro(part.getKind()),
          part.getId(),
          part.getTitle(),
          part.getUri(),
          fromAvro(part.getTrust()),
          part.getText(),
          part.getAttributable(),
          sources);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(path + ": " + e.getMessage(), e);
    }
  }

  private static Span span(int start, int end, String path) {
    try {
      return new Span(start, end);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(path + ": " + e.getMessage(), e);
    }
  }

  private static SegmentKind toAvro(PartKind kind) {
    return switch (kind) {
      case UNKNOWN -> SegmentKind.UNKNOWN;
      case INSTRUCTION -> SegmentKind.INSTRUCTION;
      case QUESTION -> SegmentKind.QUESTION;
      case RETRIEVED -> SegmentKind.RETRIEVED;
      case TOOL_OUTPUT -> SegmentKind.TOOL_OUTPUT;
      case HISTORY -> SegmentKind.HISTORY;
      case MEDIA -> SegmentKind.MEDIA;
    };
  }

  private static PartKind fromAvro(SegmentKind kind) {
    return switch (kind) {
      case UNKNOWN -> PartKind.UNKNOWN;
      case INSTRUCTION -> PartKind.INSTRUCTION;
      case QUESTION -> PartKind.QUESTION;
      case RETRIEVED -> PartKind.RETRIEVED;
      case TOOL_OUTPUT -> PartKind.TOOL_OUTPUT;
      case HISTORY -> PartKind.HISTORY;
      case MEDIA -> PartKind.MEDIA;
    };
  }

  private static SegmentTrust toAvro(Trust trust) {
    return switch (trust) {
      case UNKNOWN -> SegmentTrust.UNKNOWN;
      case OPERATOR -> SegmentTrust.OPERATOR;
      case USER_SUPPLIED -> SegmentTrust.USER_SUPPLIED;
      case RETRIEVED -> SegmentTrust.RETRIEVED;
      case TOOL_OUTPUT -> SegmentTrust.TOOL_OUTPUT;
      case MODEL_GENERATED -> SegmentTrust.MODEL_GENERATED;
      case UNTRUSTED -> SegmentTrust.UNTRUSTED;
    };
  }

  private static Trust fromAvro(SegmentTrust trust) {
    return switch (trust) {
      case UNKNOWN -> Trust.UNKNOWN;
      case OPERATOR -> Trust.OPERATOR;
      case USER_SUPPLIED -> Trust.USER_SUPPLIED;
      case RETRIEVED -> Trust.RETRIEVED;
      case TOOL_OUTPUT -> Trust.TOOL_OUTPUT;
      case MODEL_GENERATED -> Trust.MODEL_GENERATED;
      case UNTRUSTED -> Trust.UNTRUSTED;
    };
  }
}
