package dev.whence.runtime.config;

import java.util.List;

/**
 * One value of the configuration.
 *
 * @param items the scalar, or the members of a list
 * @param list whether it was written as a list
 * @param origin where it was written, for messages
 * @param secret whether it came out of an environment variable or a file and is never shown
 */
record Setting(List<String> items, boolean list, String origin, boolean secret) {
  Setting {
    items = List.copyOf(items);
  }

  String scalar() {
    return items.get(0);
  }

  /** The value for a message. */
  String shown() {
    return secret ? "(hidden)" : "'" + String.join(", ", items) + "'";
  }

  @Override
  public String toString() {
    return shown() + " from " + origin;
  }
}
