package dev.whence.runtime.worker;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What a committed offset says about the records after it: they were begun {@code count} times
 * without an end, because the process died. Written as the offset's metadata, {@code
 * attempt=2;to=118}.
 *
 * @param count how often
 * @param to one past the last offset that was begun
 */
record Attempt(int count, long to) {
  static final Attempt NONE = new Attempt(0, 0);

  private static final Pattern WRITTEN = Pattern.compile("attempt=(\\d{1,9});to=(\\d{1,18})");

  /** Reads the metadata of an offset; foreign metadata says nothing. */
  static Attempt parse(String metadata) {
    Matcher written = WRITTEN.matcher(metadata);
    return written.matches()
        ? new Attempt(Integer.parseInt(written.group(1)), Long.parseLong(written.group(2)))
        : NONE;
  }

  /** How often the record at an offset was begun before. */
  int before(long offset) {
    return offset < to ? count : 0;
  }

  /** The metadata for an offset. */
  String metadata(long offset) {
    return before(offset) == 0 ? "" : "attempt=" + count + ";to=" + to;
  }
}
