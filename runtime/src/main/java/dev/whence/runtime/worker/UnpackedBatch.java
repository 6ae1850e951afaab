package dev.whence.runtime.worker;

import java.io.EOFException;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.record.DefaultRecordBatch;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.utils.BufferSupplier;
import org.apache.kafka.common.utils.ByteUtils;
import org.jspecify.annotations.Nullable;

/**
 * Unpacks a record batch one record after the other, and of a record that is too large only what
 * names it; the rest of it is decompressed in small pieces and dropped. So a batch of a few KiB
 * that unpacks to gigabytes takes time, and no memory. A record in a batch is (KIP-98, "Record")
 *
 * <pre>
 * length varint | attributes 1 | timestamp delta varlong | offset delta varint
 *   | key length varint, key | value length varint, value
 *   | header count varint, for each: name length varint, name, value length varint, value
 * </pre>
 */
final class UnpackedBatch implements AutoCloseable {
  /** A key that may still name a record whose value is not read. */
  private static final int LONGEST_KEY = 1024;

  private final TopicPartition partition;
  private final DefaultRecordBatch batch;
  private final long from;
  private final long most;
  private final BufferSupplier buffers = BufferSupplier.create();
  private final Counted in;
  private int left;

  /**
   * A record.
   *
   * @param record as it stands in the log; without value and headers where it is too large, and
   *     without its key where that is long
   * @param bytes it takes in memory
   * @param tooLarge the same, where it is too large
   */
  record Unpacked(SourceRecord record, long bytes, OptionalLong tooLarge) {}

  /**
   * @param from records before this offset are passed over
   * @param most bytes that one record may take
   */
  UnpackedBatch(TopicPartition partition, DefaultRecordBatch batch, long from, long most) {
    this.partition = partition;
    this.batch = batch;
    this.from = from;
    this.most = most;
    this.in = new Counted(batch.recordInputStream(buffers));
    Integer count = batch.countOrNull();
    this.left = count == null ? 0 : count;
  }

  /** The offset behind the batch, where the next one is to be looked for. */
  long nextOffset() {
    return batch.nextOffset();
  }

  Optional<Integer> leaderEpoch() {
    return batch.partitionLeaderEpoch() < 0
        ? Optional.empty()
        : Optional.of(batch.partitionLeaderEpoch());
  }

  /**
   * The next record, or empty behind the last one.
   *
   * @throws KafkaException if the batch is not made as records are
   */
  Optional<Unpacked> next() {
    try {
      while (left > 0) {
        left--;
        int length = ByteUtils.readVarint(in);
        if (length < 0) {
          throw malformed();
        }
        long end = in.count + length;
        Optional<Unpacked> record = read(length, end);
        if (in.count > end) {
          throw malformed();
        }
        in.skipNBytes(end - in.count);
        if (record.isPresent()) {
          return record;
        }
      }
      return Optional.empty();
    } catch (IOException | IllegalArgumentException e) {
      throw new KafkaException(malformed().getMessage(), e);
    }
  }

  private Optional<Unpacked> read(int length, long end) throws IOException {
    in.skipNBytes(1); // attributes: none are in use
    long sinceBase = ByteUtils.readVarlong(in);
    long timestamp =
        batch.timestampType() == TimestampType.LOG_APPEND_TIME
            ? batch.maxTimestamp()
            : batch.baseTimestamp() + sinceBase;
    long offset = batch.baseOffset() + ByteUtils.readVarint(in);
    if (offset < from) {
      return Optional.empty();
    }
    int keyLength = ByteUtils.readVarint(in);
    if (length > most) {
      byte[] key = keyLength <= LONGEST_KEY ? bytes(keyLength, end) : null;
      return tooLarge(offset, timestamp, key, length);
    }
    byte[] key = bytes(keyLength, end);
    byte[] value = bytes(ByteUtils.readVarint(in), end);
    int count = ByteUtils.readVarint(in);
    if (count < 0 || count > end - in.count) {
      throw malformed();
    }
    long taken = length + (long) count * EventHeader.BYTES_BESIDE;
    if (taken > most) {
      return tooLarge(
          offset, timestamp, key == null || key.length > LONGEST_KEY ? null : key, taken);
    }
    List<EventHeader> headers = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      byte[] name = bytes(ByteUtils.readVarint(in), end);
      byte[] header = bytes(ByteUtils.readVarint(in), end);
      if (name == null) {
        throw malformed();
      }
      headers.add(
          new EventHeader(
              new String(name, StandardCharsets.UTF_8), header == null ? new byte[0] : header));
    }
    return Optional.of(
        new Unpacked(record(offset, timestamp, key, value, headers), taken, OptionalLong.empty()));
  }

  private Optional<Unpacked> tooLarge(
      long offset, long timestamp, byte @Nullable [] key, long bytes) {
    return Optional.of(
        new Unpacked(
            record(offset, timestamp, key, /* value= */ null, List.of()),
            0,
            OptionalLong.of(bytes)));
  }

  private SourceRecord record(
      long offset,
      long timestamp,
      byte @Nullable [] key,
      byte @Nullable [] value,
      List<EventHeader> headers) {
    return new SourceRecord(
        partition.topic(), partition.partition(), offset, timestamp, key, value, headers);
  }

  /** So many bytes, or null for a negative length; never more than are left of the record. */
  private byte @Nullable [] bytes(int length, long end) throws IOException {
    if (length < 0) {
      return null;
    }
    if (length > end - in.count) {
      throw malformed();
    }
    byte[] read = new byte[length];
    if (in.readNBytes(read, 0, length) < length) {
      throw new EOFException();
    }
    return read;
  }

  private KafkaException malformed() {
    return new KafkaException(
        "the batch of "
            + partition
            + " at offset "
            + batch.baseOffset()
            + " is not made as records are");
  }

  @Override
  public void close() {
    try {
      in.close();
    } catch (IOException e) {
      // Of bytes in memory: there is nothing to lose.
    } finally {
      buffers.close();
    }
  }

  /** Knows how many bytes were taken. */
  private static final class Counted extends FilterInputStream {
    long count;

    Counted(InputStream in) {
      super(in);
    }

    @Override
    public int read() throws IOException {
      int read = super.read();
      if (read >= 0) {
        count++;
      }
      return read;
    }

    @Override
    public int read(byte[] into, int offset, int length) throws IOException {
      int read = super.read(into, offset, length);
      if (read > 0) {
        count += read;
      }
      return read;
    }

    @Override
    public long skip(long bytes) throws IOException {
      long skipped = super.skip(bytes);
      count += skipped;
      return skipped;
    }
  }
}
