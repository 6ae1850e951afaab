package dev.whence.engine.text;

import dev.whence.conversation.Conversation;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.List;
import java.util.Map;

/** Small conversations, and templates that render them. */
final class Chats {
  static final SpecialTokens SPECIAL =
      new SpecialTokens(Map.of("bos_token", "<s>", "eos_token", "</s>"), true);

  private Chats() {}

  /** A template of the fixtures. */
  static ChatTemplate template(String name) throws IOException {
    try (WordTokenizer tokenizer = new WordTokenizer()) {
      return ChatTemplate.of(source(name), SPECIAL, tokenizer, "test");
    }
  }

  /** The text of a template of the fixtures. */
  static String source(String name) throws IOException {
    return new String(resource("templates/" + name + ".jinja"), StandardCharsets.UTF_8);
  }

  /** A file of the fixtures. */
  static byte[] resource(String name) throws IOException {
    try (InputStream in = Chats.class.getResourceAsStream("/fixtures/text/" + name)) {
      return in.readAllBytes();
    }
  }

  /** What a template of this source makes of messages. */
  static RenderedPrompt rendered(String source, List<Message> messages) {
    try (WordTokenizer tokenizer = new WordTokenizer()) {
      return ChatTemplate.of(source, SPECIAL, tokenizer, "test")
          .render(conversation(messages, "", "", Instant.EPOCH));
    }
  }

  /** A conversation that is one question. */
  static Conversation question(String text) {
    return conversation(
        List.of(Message.of("user", List.of(Part.of(PartKind.QUESTION, "q", text)))),
        "",
        "",
        Instant.EPOCH);
  }

  /** A message of one part. */
  static Message message(String role, PartKind kind, String id, String text) {
    return Message.of(role, List.of(Part.of(kind, id, text)));
  }

  static Conversation conversation(
      List<Message> messages, String tools, String reasoning, Instant now) {
    return Conversation.builder("r")
        .occurredAt(now)
        .messages(messages)
        .reasoning(reasoning)
        .tools(tools)
        .build();
  }
}
