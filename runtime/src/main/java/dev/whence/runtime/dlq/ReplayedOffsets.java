package dev.whence.runtime.dlq;

import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Offsets of a dead letter queue that were replayed, as ranges with both ends: {@code 17-20,25-25}.
 */
final class ReplayedOffsets {
  private static final Pattern RANGE = Pattern.compile("(\\d{1,18})-(\\d{1,18})");

  private final TreeMap<Long, Long> ranges = new TreeMap<>();

  boolean contains(long offset) {
    Map.Entry<Long, Long> range = ranges.floorEntry(offset);
    return range != null && offset <= range.getValue();
  }

  void add(long offset) {
    add(offset, offset);
  }

  /** Adds what {@link #toString} wrote; what is no range is no offset either. */
  void addAll(String text) {
    Matcher range = RANGE.matcher(text);
    while (range.find()) {
      add(Long.parseLong(range.group(1)), Long.parseLong(range.group(2)));
    }
  }

  private void add(long first, long last) {
    if (last < first) {
      return;
    }
    long from = first;
    long to = last;
    Map.Entry<Long, Long> before = ranges.floorEntry(from);
    if (before != null && before.getValue() >= from - 1) {
      from = before.getKey();
      to = Math.max(to, before.getValue());
    }
    Map.Entry<Long, Long> after = ranges.ceilingEntry(from);
    while (after != null && after.getKey() <= to + 1) {
      to = Math.max(to, after.getValue());
      ranges.remove(after.getKey());
      after = ranges.ceilingEntry(from);
    }
    ranges.put(from, to);
  }

  @Override
  public String toString() {
    StringBuilder out = new StringBuilder();
    ranges.forEach((from, to) -> out.append(out.isEmpty() ? "" : ",").append(from + "-" + to));
    return out.toString();
  }
}
