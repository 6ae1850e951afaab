package dev.whence.influence.stage;

import dev.whence.runtime.worker.EventHeader;
import dev.whence.runtime.worker.SourceRecord;
import java.util.ArrayList;
import java.util.List;

/**
 * Which shards a query asks, said beside it in a header: a record whose value can not be read or
 * must not be read again can then still be answered.
 */
final class AskedShards {
  static final String HEADER = "whence-shards";
  private static final int MOST = 100_000;

  private AskedShards() {}

  /** The shards of a record's header; none if it has none that can be read. */
  static List<Integer> of(SourceRecord record) {
    String text = record.header(HEADER).map(EventHeader::text).orElse("");
    List<Integer> shards = new ArrayList<>();
    for (String number : text.split(",", MOST)) {
      if (!number.matches("[1-9]\\d{0,8}")) {
        return List.of();
      }
      shards.add(Integer.parseInt(number));
    }
    return shards;
  }
}
