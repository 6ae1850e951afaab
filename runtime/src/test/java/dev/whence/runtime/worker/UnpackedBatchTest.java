package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.CompressionType;
import org.apache.kafka.common.record.DefaultRecordBatch;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.MutableRecordBatch;
import org.apache.kafka.common.record.Record;
import org.apache.kafka.common.record.SimpleRecord;
import org.apache.kafka.common.utils.Utils;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class UnpackedBatchTest {
  private static final TopicPartition PARTITION = new TopicPartition("in", 3);
  private static final int MOST = 1 << 20;

  @ParameterizedTest
  @EnumSource(CompressionType.class)
  void ofARecordThatIsTooLargeOnlyItsNameIsReadAndTheOthersAreWhole(CompressionType type) {
    DefaultRecordBatch batch =
        batch(
            type,
            new SimpleRecord(5, bytes("k0"), bytes("before")),
            new SimpleRecord(6, bytes("k1"), new byte[MOST + 1]),
            new SimpleRecord(7, new byte[MOST + 1], bytes("a long key")),
            new SimpleRecord(
                8,
                bytes("k3"),
                bytes("after"),
                new RecordHeader[] {
                  new RecordHeader("h", bytes("x")), new RecordHeader("none", (byte[]) null)
                }));
    List<UnpackedBatch.Unpacked> read = read(batch, 100);
    assertThat(read)
        .extracting(one -> one.record().offset())
        .containsExactly(100L, 101L, 102L, 103L);
    assertThat(read.get(0).record().value()).isEqualTo(bytes("before"));
    assertThat(read.get(1).tooLarge().orElseThrow()).isGreaterThan(MOST);
    assertThat(read.get(1).record().keyText()).contains("k1");
    assertThat(read.get(1).record().value()).isNull();
    assertThat(read.get(1).record().timestamp()).isEqualTo(6);
    assertThat(read.get(2).tooLarge()).isPresent();
    assertThat(read.get(2).record().key()).isNull();
    assertThat(read.get(3).tooLarge()).isEmpty();
    assertThat(read.get(3).record().value()).isEqualTo(bytes("after"));
    assertThat(read.get(3).record().headers())
        .extracting(EventHeader::name, EventHeader::text)
        .containsExactly(
            org.assertj.core.groups.Tuple.tuple("h", "x"),
            org.assertj.core.groups.Tuple.tuple("none", ""));
  }

  @Property(tries = 200)
  void recordsAreReadAsTheClientReadsThem(
      @ForAll @Size(min = 1, max = 20) List<byte[]> values,
      @ForAll CompressionType type,
      @ForAll @IntRange(min = 0, max = 20) int from) {
    List<SimpleRecord> records = new ArrayList<>();
    for (int i = 0; i < values.size(); i++) {
      records.add(
          new SimpleRecord(
              i * 1000L,
              i % 3 == 0 ? null : bytes("k" + i),
              i % 5 == 4 ? null : values.get(i),
              new RecordHeader[] {new RecordHeader("h" + i, values.get(i))}));
    }
    DefaultRecordBatch batch = batch(type, records.toArray(SimpleRecord[]::new));
    List<String> expected = new ArrayList<>();
    for (Record record : batch) {
      if (record.offset() >= 100 + from) {
        expected.add(
            text(
                record.offset(),
                record.timestamp(),
                record.key() == null ? null : Utils.toArray(record.key()),
                record.value() == null ? null : Utils.toArray(record.value()),
                record.headers()[0].value()));
      }
    }
    assertThat(
            read(batch, 100 + from).stream()
                .map(UnpackedBatch.Unpacked::record)
                .map(
                    one ->
                        text(
                            one.offset(),
                            one.timestamp(),
                            one.key(),
                            one.value(),
                            one.headers().get(0).value())))
        .isEqualTo(expected);
  }

  @Test
  void manyTinyHeadersCountAsTheMemoryThatTheyTake() {
    RecordHeader[] headers = new RecordHeader[MOST / 64];
    Arrays.fill(headers, new RecordHeader("h", new byte[0]));
    DefaultRecordBatch batch =
        batch(CompressionType.ZSTD, new SimpleRecord(0, bytes("k"), bytes("v"), headers));
    UnpackedBatch.Unpacked read = read(batch, 100).get(0);
    assertThat(read.tooLarge()).isPresent();
    assertThat(read.record().headers()).isEmpty();
  }

  @Test
  void aBatchThatIsCutOffIsRefused() {
    DefaultRecordBatch whole =
        batch(CompressionType.NONE, new SimpleRecord(0, bytes("k"), bytes("value")));
    ByteBuffer cut = ByteBuffer.allocate(whole.sizeInBytes());
    whole.writeTo(cut);
    cut.flip();
    // The record now says that its key is longer than the record.
    cut.put(DefaultRecordBatch.RECORD_BATCH_OVERHEAD + 4, (byte) 100);
    DefaultRecordBatch broken =
        (DefaultRecordBatch) MemoryRecords.readableRecords(cut).batches().iterator().next();
    assertThatThrownBy(() -> read(broken, 0))
        .isInstanceOf(KafkaException.class)
        .hasMessage("the batch of in-3 at offset 100 is not made as records are");
  }

  private static List<UnpackedBatch.Unpacked> read(DefaultRecordBatch batch, long from) {
    List<UnpackedBatch.Unpacked> all = new ArrayList<>();
    try (UnpackedBatch unpacked = new UnpackedBatch(PARTITION, batch, from, MOST)) {
      for (Optional<UnpackedBatch.Unpacked> next = unpacked.next();
          next.isPresent();
          next = unpacked.next()) {
        all.add(next.get());
      }
      assertThat(unpacked.nextOffset()).isEqualTo(batch.lastOffset() + 1);
    }
    return all;
  }

  private static DefaultRecordBatch batch(CompressionType type, SimpleRecord... records) {
    MemoryRecords written = MemoryRecords.withRecords(100, Compression.of(type).build(), records);
    List<MutableRecordBatch> batches = new ArrayList<>();
    written.batches().forEach(batches::add);
    assertThat(batches).hasSize(1);
    return (DefaultRecordBatch) batches.get(0);
  }

  private static String text(long offset, long timestamp, byte[] key, byte[] value, byte[] header) {
    return offset
        + " "
        + timestamp
        + " "
        + Arrays.toString(key)
        + " "
        + Arrays.toString(value)
        + " "
        + Arrays.toString(header);
  }

  private static byte[] bytes(String text) {
    return WorkerCluster.bytes(text);
  }
}
