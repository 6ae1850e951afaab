package dev.whence.attribution.toy;

import dev.whence.conversation.Citation;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Span;
import dev.whence.conversation.Trust;
import java.util.Arrays;
import java.util.List;

/** Conversations for tests. */
public final class Conversations {
  private Conversations() {}

  public static Part instruction(String text) {
    return Part.of(PartKind.INSTRUCTION, "instruction", text);
  }

  public static Part question(String text) {
    return Part.of(PartKind.QUESTION, "question", text);
  }

  public static Part document(String id, String text, Span... spans) {
    return new Part(
        PartKind.RETRIEVED, id, "", "", Trust.RETRIEVED, text, true, Arrays.asList(spans));
  }

  public static Conversation of(String response, String finishReason, Part... parts) {
    return of("acme/toy", response, finishReason, List.of(), parts);
  }

  public static Conversation of(
      String model, String response, String finishReason, List<Citation> citations, Part... parts) {
    return conversation("user", model, "", response, finishReason, citations, parts);
  }

  /** Each part is a message of its own. */
  public static Conversation turns(String response, Part... parts) {
    return conversation(
        Arrays.stream(parts).map(part -> Message.of("user", List.of(part))).toList(),
        "acme/toy",
        "",
        response,
        "stop",
        List.of());
  }

  public static Conversation raw(String response, Part... parts) {
    return conversation(Message.RAW, "acme/toy", "", response, "stop", List.of(), parts);
  }

  public static Conversation reasoned(String reasoning, String response, Part... parts) {
    return conversation("user", "acme/toy", reasoning, response, "stop", List.of(), parts);
  }

  private static Conversation conversation(
      String role,
      String model,
      String reasoning,
      String response,
      String finishReason,
      List<Citation> citations,
      Part... parts) {
    return conversation(
        List.of(Message.of(role, Arrays.asList(parts))),
        model,
        reasoning,
        response,
        finishReason,
        citations);
  }

  private static Conversation conversation(
      List<Message> messages,
      String model,
      String reasoning,
      String response,
      String finishReason,
      List<Citation> citations) {
    return Conversation.builder("r-1")
        .model(model)
        .messages(messages)
        .reasoning(reasoning)
        .response(response)
        .finishReason(finishReason)
        .citations(citations)
        .build();
  }
}
