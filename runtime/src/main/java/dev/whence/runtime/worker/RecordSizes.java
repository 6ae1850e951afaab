package dev.whence.runtime.worker;

import dev.whence.runtime.kafka.Clients;
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

  /** The producer compares its own estimate, of the uncompressed record, with its bound. */
  private static final int LARGEST_UNCOMPRESSED = Clients.LARGEST_REQUEST_BYTES - (64 << 10);

  private final Map<String, Integer> largest;

  /**
   * @param largest max.message.bytes by topic, as the broker has it
   */
  RecordSizes(Map<String, Integer> largest) {
    this.largest = Map.copyOf(largest);
  }

  /** Whether a record fits, however badly it compresses. */
  boolean fits(Result result) {
    long size = uncompressed(result.key(), result.value(), result.headers());
    // Compression makes random bytes longer by less than one in 256.
    return size <= LARGEST_UNCOMPRESSED && size + size / 256 <= limit(result.topic());
  }

  private static long uncompressed(
      byte @Nullable [] key, byte @Nullable [] value, List<EventHeader> headers) {
    long size = FRAME + (key == null ? 0 : key.length) + (long) (value == null ? 0 : value.length);
    for (EventHeader header : headers) {
      size += 16 + 3L * header.name().length() + header.value().length;
    }
    return size;
  }

  /**
   * Whether a record fits once it is compressed as the producer does; the producer itself refuses
   * one that is too large before.
   */
  boolean fitsCompressed(
      String topic, byte @Nullable [] key, byte @Nullable [] value, List<EventHeader> headers) {
    if (uncompressed(key, value, headers) > LARGEST_UNCOMPRESSED) {
      return false;
    }
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
