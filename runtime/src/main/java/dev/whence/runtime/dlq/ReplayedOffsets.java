package dev.whence.runtime.dlq;

import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Which offsets of a dead letter queue were replayed: all below a committed offset, and the ranges
 * above it that its metadata lists, {@code done=17-20,25-25}. So a replay with a filter leaves the
 * others for later, and none is replayed twice.
 */
final class ReplayedOffsets {
  /** The broker's offset.metadata.max.bytes. */
  static final int LONGEST_METADATA = 4096;

  private static final Pattern RANGE = Pattern.compile("(\\d{1,18})-(\\d{1,18})");

  private long next;
  private final TreeMap<Long, Long> ranges = new TreeMap<>();

  ReplayedOffsets(long next, String metadata) {
    this.next = next;
    if (metadata.startsWith("done=")) {
      Matcher range = RANGE.matcher(metadata);
      while (range.find()) {
        ranges.put(Long.parseLong(range.group(1)), Long.parseLong(range.group(2)));
      }
      advance();
    }
  }

  boolean contains(long offset) {
    if (offset < next) {
      return true;
    }
    Map.Entry<Long, Long> range = ranges.floorEntry(offset);
    return range != null && offset <= range.getValue();
  }

  void add(long offset) {
    if (contains(offset)) {
      return;
    }
    long from = offset;
    long to = offset;
    Map.Entry<Long, Long> before = ranges.floorEntry(offset);
    if (before != null && before.getValue() == offset - 1) {
      from = before.getKey();
    }
    Long after = ranges.remove(offset + 1);
    if (after != null) {
      to = after;
    }
    ranges.put(from, to);
    advance();
  }

  /** Offsets below the log's start can not be replayed any more; nor need they be listed. */
  void startAt(long logStart) {
    next = Math.max(next, logStart);
    advance();
  }

  private void advance() {
    while (!ranges.isEmpty() && ranges.firstKey() <= next) {
      Map.Entry<Long, Long> first = ranges.pollFirstEntry();
      next = Math.max(next, first.getValue() + 1);
    }
  }

  /** First offset that was not replayed. */
  long next() {
    return next;
  }

  String metadata() {
    StringBuilder out = new StringBuilder();
    ranges.forEach(
        (from, to) -> out.append(out.length() == 0 ? "done=" : ",").append(from + "-" + to));
    return out.toString();
  }
}
