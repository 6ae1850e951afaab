package dev.whence.runtime.dlq;

import dev.whence.runtime.worker.EventHeader;
import java.util.List;

/**
 * A record of a dead letter queue as {@code whence dlq show} lists it: where it came from and why,
 * and of its content only the length.
 *
 * @param offset in the dead letter queue
 * @param code of the failure
 * @param message of the failure
 * @param exception class of what was thrown, or empty
 * @param topic it came from
 * @param partition it came from, or -1 if unknown
 * @param sourceOffset it came from, or -1 if unknown
 * @param timestamp of the source record, milliseconds since 1970, or -1 if unknown
 * @param attempt how often it was begun
 * @param stage that gave it up
 * @param valueBytes length of the original value
 * @param omitted whether the value was too large for the queue and stands only in its source topic
 * @param replayed whether it was replayed before
 */
public record DeadLetterEntry(
    long offset,
    String code,
    String message,
    String exception,
    String topic,
    int partition,
    long sourceOffset,
    long timestamp,
    int attempt,
    String stage,
    long valueBytes,
    boolean omitted,
    boolean replayed) {

  /** Of the headers of a dead letter; whether it was replayed, others say. */
  static DeadLetterEntry of(long offset, List<EventHeader> headers, long valueLength) {
    long omitted = number(headers, DeadLetterHeaders.OMITTED_BYTES);
    return new DeadLetterEntry(
        offset,
        text(headers, DeadLetterHeaders.CODE),
        text(headers, DeadLetterHeaders.MESSAGE),
        text(headers, DeadLetterHeaders.EXCEPTION),
        text(headers, DeadLetterHeaders.TOPIC),
        (int) number(headers, DeadLetterHeaders.PARTITION),
        number(headers, DeadLetterHeaders.OFFSET),
        number(headers, DeadLetterHeaders.TIMESTAMP),
        (int) number(headers, DeadLetterHeaders.ATTEMPT),
        text(headers, DeadLetterHeaders.STAGE),
        omitted >= 0 ? omitted : valueLength,
        omitted >= 0,
        false);
  }

  DeadLetterEntry withReplayed(boolean was) {
    return new DeadLetterEntry(
        offset,
        code,
        message,
        exception,
        topic,
        partition,
        sourceOffset,
        timestamp,
        attempt,
        stage,
        valueBytes,
        omitted,
        was);
  }

  private static String text(List<EventHeader> headers, String name) {
    String value = "";
    for (EventHeader header : headers) {
      if (header.name().equals(name)) {
        value = header.text();
      }
    }
    return value;
  }

  private static long number(List<EventHeader> headers, String name) {
    String value = text(headers, name);
    return value.matches("\\d{1,18}") ? Long.parseLong(value) : -1;
  }
}
