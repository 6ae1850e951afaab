package dev.whence.runtime.worker;

import java.nio.charset.StandardCharsets;

/**
 * A header of a record.
 *
 * @param name as on the wire
 * @param value bytes, empty where the wire says null
 */
@SuppressWarnings("ArrayRecordComponent") // bytes as Kafka has them; never compared
public record EventHeader(String name, byte[] value) {
  /** What a header takes beside its bytes, in this process. */
  static final int BYTES_BESIDE = 128;

  public static EventHeader of(String name, String value) {
    return new EventHeader(name, value.getBytes(StandardCharsets.UTF_8));
  }

  /** The value as UTF-8; malformed bytes become replacement characters. */
  public String text() {
    return new String(value, StandardCharsets.UTF_8);
  }

  @Override
  public String toString() {
    return name + " (" + value.length + " bytes)";
  }
}
