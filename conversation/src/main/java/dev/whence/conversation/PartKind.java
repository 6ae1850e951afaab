package dev.whence.conversation;

import java.util.Locale;

/** What a part of a prompt is there for. It decides whether the part is attributable by default. */
public enum PartKind {
  UNKNOWN,
  INSTRUCTION,
  QUESTION,
  RETRIEVED,
  TOOL_OUTPUT,
  HISTORY,
  /** An image, audio or other part without text: the response it belongs to is UNSUPPORTED. */
  MEDIA;

  /** Retrieved documents, tool output and history are attributable unless the caller overrides. */
  public boolean attributableByDefault() {
    return this == RETRIEVED || this == TOOL_OUTPUT || this == HISTORY;
  }

  /**
   * What a part is for if nobody says: system and developer instruct, tools and functions give tool
   * output, the assistant's earlier words are history, and so are the user's but for the last
   * message, which is the question.
   *
   * @param lastUser whether it is of the last message of role user
   */
  public static PartKind ofRole(String role, boolean lastUser) {
    return switch (role) {
      case "system", "developer" -> INSTRUCTION;
      case "tool", "function" -> TOOL_OUTPUT;
      case "assistant" -> HISTORY;
      case "user" -> lastUser ? QUESTION : HISTORY;
      default -> UNKNOWN;
    };
  }

  /** The name in JSON, for example {@code tool_output}. */
  public String jsonName() {
    return name().toLowerCase(Locale.ROOT);
  }
}
