package dev.whence.runtime.worker;

import java.util.List;
import java.util.Map;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.SimpleRecord;
import org.jspecify.annotations.Nullable;

/**
 * Whether a record fits into a topic. Asked before the transaction, for one record that the broker
 * refuses aborts the whole batch, however often it is tried.
 */
final class RecordSizes {
  /** Headers of a batch and a record, in bytes, generously. */
  private static final int FRAME = 256;

  private final Map<String, Integer> largest;

  /**
   * @param largest max.message.bytes by topic, as the broker has it
   */
  RecordSizes(Map<String, Integer> largest) {
    this.largest = Map.copyOf(largest);
  }

  /** Whether a record fits, however badly it compresses. */
  boolean fits(Result result) {
    long size = FRAME + result.key().length + (long) result.value().length;
    for (EventHeader header : result.headers()) {
      size += 16 + 3L * header.name().length() + header.value().length;
    }
    // Compression makes random bytes longer by less than one in 256.
    return size + size / 256 <= limit(result.topic());
  }

  /** Whether a record fits once it is compressed as the producer does. */
  boolean fitsCompressed(
      String topic, byte @Nullable [] key, byte @Nullable [] value, List<EventHeader> headers) {
    var kafkaHeaders =
        headers.stream()
            .map(header -> new RecordHeader(header.name(), header.value()))
            .toArray(RecordHeader[]::new);
    int size =
        MemoryRecords.withRecords(
                Compression.zstd().build(), new SimpleRecord(0L, key, value, kafkaHeaders))
            .sizeInBytes();
    return size + FRAME <= limit(topic);
  }

  int limit(String topic) {
    Integer limit = largest.get(topic);
    if (limit == null) {
      throw new IllegalArgumentException(
          "the stage writes to " + topic + ", which it did not name");
    }
    return limit;
  }
}
