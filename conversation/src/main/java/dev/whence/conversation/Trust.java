package dev.whence.conversation;

import java.util.Locale;

/** Who vouches for the text of a part. */
public enum Trust {
  UNKNOWN,
  OPERATOR,
  USER_SUPPLIED,
  RETRIEVED,
  TOOL_OUTPUT,
  MODEL_GENERATED,
  UNTRUSTED;

  /** The name in JSON, for example {@code user_supplied}. */
  public String jsonName() {
    return name().toLowerCase(Locale.ROOT);
  }
}
