package dev.whence.quickstart;

import dev.whence.embedded.EmbeddedBroker;
import dev.whence.embedded.EmbeddedRegistry;
import dev.whence.embedded.RawRecords;
import dev.whence.schemas.AvroSerdes;
import io.confluent.kafka.serializers.KafkaAvroDeserializer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/** What a quickstart that has ended left in its data directory. */
final class DataDirectories {
  private DataDirectories() {}

  /** Everything committed on a topic, read by Confluent's deserializer. */
  static <T> List<ConsumerRecord<String, T>> records(Path data, String topic, Class<T> type)
      throws Exception {
    try (EmbeddedBroker broker = EmbeddedBroker.open(data.resolve("kafka"));
        EmbeddedRegistry registry = EmbeddedRegistry.open(data.resolve("registry"))) {
      try (KafkaAvroDeserializer values = new KafkaAvroDeserializer()) {
        values.configure(AvroSerdes.deserializer(registry.url(), Map.of()), false);
        return new RawRecords(broker.bootstrapServers())
            .committed(topic).stream()
                .map(record -> read(record, type.cast(values.deserialize(topic, record.value()))))
                .toList();
      }
    }
  }

  private static <T> ConsumerRecord<String, T> read(
      ConsumerRecord<byte[], byte[]> record, T value) {
    return new ConsumerRecord<>(
        record.topic(),
        record.partition(),
        record.offset(),
        record.timestamp(),
        record.timestampType(),
        record.serializedKeySize(),
        record.serializedValueSize(),
        new String(record.key(), StandardCharsets.UTF_8),
        value,
        record.headers(),
        record.leaderEpoch());
  }
}
