package dev.whence.runtime.dlq;

import dev.whence.runtime.worker.EventHeader;
import dev.whence.runtime.worker.Failure;
import dev.whence.runtime.worker.SourceRecord;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.jspecify.annotations.Nullable;

/**
 * Records for a dead letter queue, of the worker loop and of stages outside of it. A record fits
 * into its queue however badly it compresses: without the value if that is too large, and with
 * nothing but what says where the record is if its key and headers are.
 */
public final class DeadLetters {
  /** Headers of a batch and a record, in bytes, generously. */
  private static final int FRAME = 256;

  private DeadLetters() {}

  /**
   * A record that can not be processed, with the reason in its headers.
   *
   * @param queue name of the dead-letter topic
   * @param queueBytes what it takes at most
   * @param attempt how often the record was begun, this time included
   * @param stage that gives it up
   */
  public static ProducerRecord<byte[], byte[]> of(
      String queue,
      int queueBytes,
      SourceRecord source,
      Failure failure,
      int attempt,
      String stage) {
    Letter letter =
        fitting(
            source,
            failure,
            attempt,
            stage,
            (key, value, headers) -> size(key, value, headers) <= queueBytes);
    ProducerRecord<byte[], byte[]> dead = new ProducerRecord<>(queue, letter.key(), letter.value());
    for (EventHeader header : letter.headers()) {
      dead.headers().add(new RecordHeader(header.name(), header.value()));
    }
    return dead;
  }

  /**
   * What a dead-letter record is made of.
   *
   * @param headers where the record was, and why it is here
   */
  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  public record Letter(byte @Nullable [] key, byte @Nullable [] value, List<EventHeader> headers) {
    public Letter {
      headers = List.copyOf(headers);
    }
  }

  /** Whether a queue takes a record. */
  public interface Queue {
    boolean takes(byte @Nullable [] key, byte @Nullable [] value, List<EventHeader> headers);
  }

  /**
   * As much of a record as the queue takes: all of it, else without the value, else what says where
   * it is.
   *
   * @param attempt how often the record was begun, this time included
   * @param stage that gives it up
   */
  public static Letter fitting(
      SourceRecord source, Failure failure, int attempt, String stage, Queue queue) {
    List<EventHeader> headers =
        new ArrayList<>(DeadLetterHeaders.of(source, failure, attempt, stage));
    byte[] key = source.key();
    byte[] value = source.value();
    if (!queue.takes(key, value, headers)) {
      headers.add(
          EventHeader.of(
              DeadLetterHeaders.OMITTED_BYTES, Integer.toString(value == null ? 0 : value.length)));
      value = null;
    }
    if (!queue.takes(key, value, headers)) {
      key = null;
      headers.removeIf(header -> !header.name().startsWith(DeadLetterHeaders.PREFIX));
    }
    return new Letter(key, value, headers);
  }

  private static long size(
      byte @Nullable [] key, byte @Nullable [] value, List<EventHeader> headers) {
    long size = FRAME + (key == null ? 0L : key.length) + (value == null ? 0L : value.length);
    for (EventHeader header : headers) {
      size += 16 + 3L * header.name().length() + header.value().length;
    }
    // Compression makes random bytes longer by less than one in 256.
    return size + size / 256;
  }
}
