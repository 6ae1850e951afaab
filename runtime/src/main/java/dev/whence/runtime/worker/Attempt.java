package dev.whence.runtime.worker;

import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * What a committed offset says about the records after it: they were begun so often without an end,
 * because the process died. Records up to {@code to} were begun {@code count} times, those from
 * there up to {@code restTo} were in the batch when it was first begun, {@code rest} times. Written
 * as the offset's metadata, {@code attempt=3;to=8;rest=1;restTo=16}, and by a process that has just
 * begun records with {@code ;by=...} behind it. It also says where a process ran out of memory
 * while it read on: {@code memory=12} alone or behind the rest. The number of {@link
 * GroupBeginning} stands behind these.
 *
 * @param count how often the first records were begun
 * @param to one past the last of them
 * @param rest how often the records after them were begun
 * @param restTo one past the last of those
 * @param outOfMemoryFrom the offset from which a process read when it ran out of memory, or -1
 */
record Attempt(int count, long to, int rest, long restTo, long outOfMemoryFrom) {
  static final Attempt NONE = new Attempt(0, 0, 0, 0);

  private static final long NEVER = -1;

  private static final Pattern WRITTEN =
      Pattern.compile(
          "(?:attempt=(\\d{1,9});to=(\\d{1,18})(?:;rest=(\\d{1,9});restTo=(\\d{1,18}))?)?"
              + "(?:;?memory=(\\d{1,18}))?(?:;?partitions=\\d{1,9})?(?:;by=\\w{1,32})?");

  Attempt(int count, long to, int rest, long restTo) {
    this(count, to, rest, restTo, NEVER);
  }

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
    return new Attempt(
        (int) number(written.group(1), 0),
        number(written.group(2), 0),
        (int) number(written.group(3), 0),
        number(written.group(4), 0),
        number(written.group(5), NEVER));
  }

  private static long number(@Nullable String digits, long otherwise) {
    return digits == null ? otherwise : Long.parseLong(digits);
  }

  /** The same, and that a process ran out of memory while it read on from an offset. */
  Attempt outOfMemory(long from) {
    return new Attempt(count, to, rest, restTo, from);
  }

  /** The same where the place of the lack of memory is passed. */
  Attempt withMemory() {
    return outOfMemory(NEVER);
  }

  /** Whether the records from here on are to be read with care. */
  boolean lackedMemory() {
    return outOfMemoryFrom >= 0;
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
    return new Attempt(
        before(offset) + 1, offset + 1, after, after == 0 ? 0 : end, outOfMemoryFrom);
  }

  /** The metadata for an offset. */
  String metadata(long offset) {
    String begun = begun(offset);
    if (!lackedMemory()) {
      return begun;
    }
    return (begun.isEmpty() ? "" : begun + ";") + "memory=" + outOfMemoryFrom;
  }

  private String begun(long offset) {
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
