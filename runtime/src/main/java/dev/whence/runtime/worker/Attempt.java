package dev.whence.runtime.worker;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What a committed offset says about the records after it: they were begun so often without an end,
 * because the process died. Records up to {@code to} were begun {@code count} times, those from
 * there up to {@code restTo} were in the batch when it was first begun, {@code rest} times. Written
 * as the offset's metadata, {@code attempt=3;to=8;rest=1;restTo=16}, and by a process that has just
 * begun records with {@code ;by=...} behind it.
 *
 * @param count how often the first records were begun
 * @param to one past the last of them
 * @param rest how often the records after them were begun
 * @param restTo one past the last of those
 */
record Attempt(int count, long to, int rest, long restTo) {
  static final Attempt NONE = new Attempt(0, 0, 0, 0);

  private static final Pattern WRITTEN =
      Pattern.compile(
          "attempt=(\\d{1,9});to=(\\d{1,18})(?:;rest=(\\d{1,9});restTo=(\\d{1,18}))?"
              + "(?:;by=\\w{1,32})?");

  /** Records up to an offset, begun so often. */
  static Attempt of(int count, long to) {
    return new Attempt(count, to, 0, 0);
  }

  /** Reads the metadata of an offset; foreign metadata says nothing. */
  static Attempt parse(String metadata) {
    Matcher written = WRITTEN.matcher(metadata);
    if (!written.matches()) {
      return NONE;
    }
    int count = Integer.parseInt(written.group(1));
    long to = Long.parseLong(written.group(2));
    return written.group(3) == null
        ? of(count, to)
        : new Attempt(
            count, to, Integer.parseInt(written.group(3)), Long.parseLong(written.group(4)));
  }

  /** How often the record at an offset was begun before. */
  int before(long offset) {
    if (offset < to) {
      return count;
    }
    return offset < restTo ? rest : 0;
  }

  /** The record at an offset, the first one, is begun once more, and alone. */
  Attempt begunAlone(long offset) {
    long end = offset < to && offset + 1 < to ? to : restTo;
    int after = before(offset + 1);
    return new Attempt(before(offset) + 1, offset + 1, after, after == 0 ? 0 : end);
  }

  /** The metadata for an offset. */
  String metadata(long offset) {
    if (offset < to && count > 0) {
      return "attempt="
          + count
          + ";to="
          + to
          + (rest > 0 && restTo > to ? ";rest=" + rest + ";restTo=" + restTo : "");
    }
    return offset < restTo && rest > 0 ? "attempt=" + rest + ";to=" + restTo : "";
  }
}
