package dev.whence.influence.stage;

import dev.whence.runtime.worker.EventHeader;
import dev.whence.runtime.worker.SourceRecord;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * Which shards a query asks, said beside it in a header: a record whose value can not be read or
 * must not be read again can then still be answered.
 */
final class AskedShards {
  static final String HEADER = "whence-shards";

  /** Shards that an index on topics may have: each is named in records and results. */
  static final int MOST = 4096;

  private static final int LONGEST_HEADER_BYTES = 8 * MOST;

  private AskedShards() {}

  /** The shards of a record's header; none if it has none that can be, or one of them twice. */
  static List<Integer> of(SourceRecord record) {
    String text =
        record
            .header(HEADER)
            .filter(header -> header.value().length <= LONGEST_HEADER_BYTES)
            .map(EventHeader::text)
            .orElse("");
    Set<Integer> shards = new LinkedHashSet<>();
    for (String number : text.split(",", -1)) {
      if (!number.matches("[1-9]\\d{0,3}")
          || Integer.parseInt(number) > MOST
          || !shards.add(Integer.parseInt(number))) {
        return List.of();
      }
    }
    return List.copyOf(shards);
  }
}
