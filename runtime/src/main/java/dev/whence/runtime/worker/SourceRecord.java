package dev.whence.runtime.worker;

import dev.whence.conversation.Conversation;
import dev.whence.schemas.EventHeaders;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.header.Header;
import org.jspecify.annotations.Nullable;

/**
 * A record as it came from its topic. {@link #toString} names its place and never its content.
 *
 * @param topic it stands in
 * @param partition of the topic
 * @param offset in the partition
 * @param timestamp when it was written, milliseconds since 1970
 * @param key bytes, or null
 * @param value bytes, or null
 * @param headers in order
 */
@SuppressWarnings("ArrayRecordComponent") // bytes as Kafka has them; never compared
public record SourceRecord(
    String topic,
    int partition,
    long offset,
    long timestamp,
    byte @Nullable [] key,
    byte @Nullable [] value,
    List<EventHeader> headers) {

  public SourceRecord {
    headers = List.copyOf(headers);
  }

  /** A record as the client has it. */
  public static SourceRecord of(ConsumerRecord<byte[], byte[]> record) {
    List<EventHeader> headers = new ArrayList<>();
    for (Header header : record.headers()) {
      headers.add(
          new EventHeader(header.key(), header.value() == null ? new byte[0] : header.value()));
    }
    return new SourceRecord(
        record.topic(),
        record.partition(),
        record.offset(),
        record.timestamp(),
        record.key(),
        record.value(),
        headers);
  }

  /** The key, if it is valid UTF-8 of 1 to 256 characters. */
  public Optional<String> keyText() {
    byte[] bytes = key;
    if (bytes == null || bytes.length == 0 || bytes.length > 4 * Conversation.LONGEST_ID) {
      return Optional.empty();
    }
    try {
      String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
      return text.codePointCount(0, text.length()) <= Conversation.LONGEST_ID
          ? Optional.of(text)
          : Optional.empty();
    } catch (CharacterCodingException e) {
      return Optional.empty();
    }
  }

  /** What names this record where its value can not be read: its key, else its place. */
  public String idWithoutValue() {
    return keyText().orElseGet(this::place);
  }

  /** topic-partition-offset. */
  public String place() {
    return topic + "-" + partition + "-" + offset;
  }

  /** What it takes in memory: a header without a byte is not nothing. */
  public long bytes() {
    byte[] keyBytes = key;
    byte[] valueBytes = value;
    long bytes = keyBytes == null ? 0 : keyBytes.length;
    bytes += valueBytes == null ? 0 : valueBytes.length;
    for (EventHeader header : headers) {
      bytes += header.name().length() + header.value().length + EventHeader.BYTES_BESIDE;
    }
    return bytes;
  }

  /** The last header of that name. */
  public Optional<EventHeader> header(String name) {
    for (int i = headers.size() - 1; i >= 0; i--) {
      if (headers.get(i).name().equals(name)) {
        return Optional.of(headers.get(i));
      }
    }
    return Optional.empty();
  }

  /** W3C trace context of the header, else another one; empty where neither is valid. */
  public String traceparentOr(String other) {
    String inHeader = header(EventHeaders.TRACEPARENT).map(EventHeader::text).orElse("");
    if (EventHeaders.isTraceparent(inHeader)) {
      return inHeader;
    }
    return EventHeaders.isTraceparent(other) ? other : "";
  }

  @Override
  public String toString() {
    return place();
  }
}
