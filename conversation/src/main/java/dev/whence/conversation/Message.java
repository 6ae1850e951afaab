package dev.whence.conversation;

import java.util.List;
import java.util.stream.Collectors;

/**
 * One message of a prompt.
 *
 * @param role system, developer, user, assistant, tool, or {@link #RAW}
 * @param parts in order; their texts concatenated are the message's content
 * @param name of the speaker or the tool, or empty
 * @param toolCalls the message's {@code tool_calls} as JSON text, or empty
 * @param toolCallId which call a tool message answers, or empty
 */
public record Message(
    String role, List<Part> parts, String name, String toolCalls, String toolCallId) {

  /** The role of the one message of a prompt that is given as raw text, without any template. */
  public static final String RAW = "raw";

  public Message {
    parts = List.copyOf(parts);
    if (role.isEmpty()) {
      throw new IllegalArgumentException("a message has no role");
    }
  }

  public static Message of(String role, List<Part> parts) {
    return new Message(role, parts, "", "", "");
  }

  /** The texts of the parts, concatenated as they stand. */
  public String content() {
    return parts.stream().map(Part::text).collect(Collectors.joining());
  }
}
