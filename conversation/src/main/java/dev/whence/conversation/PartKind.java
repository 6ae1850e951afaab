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

  /** The name in JSON, for example {@code tool_output}. */
  public String jsonName() {
    return name().toLowerCase(Locale.ROOT);
  }
}
