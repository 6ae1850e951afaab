package dev.whence.runtime.dlq;

import dev.whence.runtime.worker.EventHeader;
import dev.whence.runtime.worker.Failure;
import dev.whence.runtime.worker.SourceRecord;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The headers of a record in a dead letter queue: those of the source record, and what went wrong
 * where. Ours take at most 8 KiB together.
 */
public final class DeadLetterHeaders {
  public static final String PREFIX = "whence.error.";
  public static final String CODE = PREFIX + "code";
  public static final String MESSAGE = PREFIX + "message";
  public static final String EXCEPTION = PREFIX + "exception";
  public static final String TOPIC = PREFIX + "topic";
  public static final String PARTITION = PREFIX + "partition";
  public static final String OFFSET = PREFIX + "offset";
  public static final String TIMESTAMP = PREFIX + "timestamp";
  public static final String ATTEMPT = PREFIX + "attempt";
  public static final String STAGE = PREFIX + "stage";

  /**
   * Present where the value did not fit into the queue even compressed: its length in bytes. The
   * value then is null, and the record stands only in its source topic.
   */
  public static final String OMITTED_BYTES = PREFIX + "omitted-bytes";

  /**
   * Of a record that is no dead letter: which offsets of this queue the same transaction replayed,
   * as {@code 17-20,25-25}. It is written behind them, so it is kept as long as they are.
   */
  static final String REPLAYED = PREFIX + "replayed-offsets";

  private static final int LONGEST_MESSAGE = 4096;
  private static final int LONGEST_NAME = 512;

  private DeadLetterHeaders() {}

  /**
   * The headers for a record.
   *
   * @param source the record
   * @param failure why it can not be processed
   * @param attempt how often it was begun, this time included
   * @param stage that gave it up
   */
  public static List<EventHeader> of(
      SourceRecord source, Failure failure, int attempt, String stage) {
    List<EventHeader> headers = new ArrayList<>(withoutOurs(source.headers()));
    headers.add(header(CODE, failure.code(), LONGEST_NAME));
    headers.add(header(MESSAGE, failure.message(), LONGEST_MESSAGE));
    headers.add(header(EXCEPTION, failure.exception(), LONGEST_NAME));
    headers.add(header(TOPIC, source.topic(), LONGEST_NAME));
    headers.add(EventHeader.of(PARTITION, Integer.toString(source.partition())));
    headers.add(EventHeader.of(OFFSET, Long.toString(source.offset())));
    headers.add(EventHeader.of(TIMESTAMP, Long.toString(source.timestamp())));
    headers.add(EventHeader.of(ATTEMPT, Integer.toString(attempt)));
    headers.add(header(STAGE, stage, LONGEST_NAME));
    return headers;
  }

  /** What was replayed, if these are the headers of a record that says so. */
  static Optional<String> replayed(List<EventHeader> headers) {
    Optional<String> replayed = Optional.empty();
    for (EventHeader header : headers) {
      if (header.name().equals(CODE)) {
        return Optional.empty(); // a dead letter, whatever its source's headers may say
      }
      if (header.name().equals(REPLAYED)) {
        replayed = Optional.of(header.text());
      }
    }
    return replayed;
  }

  /** Headers as the source record had them. */
  public static List<EventHeader> withoutOurs(List<EventHeader> headers) {
    return headers.stream().filter(header -> !header.name().startsWith(PREFIX)).toList();
  }

  /** Cuts at a character, not in the middle of one. */
  private static EventHeader header(String name, String value, int longestBytes) {
    byte[] bytes = value.getBytes(StandardCharsets.UTF_8);
    if (bytes.length <= longestBytes) {
      return new EventHeader(name, bytes);
    }
    int end = longestBytes;
    while (end > 0 && (bytes[end] & 0xC0) == 0x80) {
      end--;
    }
    return EventHeader.of(name, new String(bytes, 0, end, StandardCharsets.UTF_8));
  }
}
