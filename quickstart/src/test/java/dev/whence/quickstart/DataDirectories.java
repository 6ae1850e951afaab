package dev.whence.quickstart;

import dev.whence.embedded.EmbeddedBroker;
import dev.whence.embedded.EmbeddedRegistry;
import dev.whence.schemas.AvroSerdes;
import io.confluent.kafka.serializers.KafkaAvroDeserializer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/** What a quickstart that has ended left in its data directory. */
final class DataDirectories {
  private DataDirectories() {}

  /** Everything committed on a topic, read by Confluent's deserializer. */
  static <T> List<ConsumerRecord<String, T>> records(Path data, String topic, Class<T> type)
      throws Exception {
    try (EmbeddedBroker broker = EmbeddedBroker.open(data.resolve("kafka"));
        EmbeddedRegistry registry = EmbeddedRegistry.open(data.resolve("registry"))) {
      Map<String, Object> properties =
          new HashMap<>(AvroSerdes.deserializer(registry.url(), Map.of()));
      properties.put("bootstrap.servers", broker.bootstrapServers());
      properties.put("isolation.level", "read_committed");
      properties.put("key.deserializer", StringDeserializer.class);
      properties.put("value.deserializer", KafkaAvroDeserializer.class);
      try (KafkaConsumer<String, Object> consumer = new KafkaConsumer<>(properties)) {
        List<TopicPartition> partitions =
            consumer.partitionsFor(topic).stream()
                .map(info -> new TopicPartition(info.topic(), info.partition()))
                .toList();
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
        Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
        List<ConsumerRecord<String, T>> records = new ArrayList<>();
        long deadline = System.nanoTime() + Duration.ofSeconds(20).toNanos();
        while (System.nanoTime() < deadline
            && partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
          for (ConsumerRecord<String, Object> record : consumer.poll(Duration.ofMillis(100))) {
            records.add(
                new ConsumerRecord<>(
                    record.topic(),
                    record.partition(),
                    record.offset(),
                    record.timestamp(),
                    record.timestampType(),
                    record.serializedKeySize(),
                    record.serializedValueSize(),
                    record.key(),
                    type.cast(record.value()),
                    record.headers(),
                    record.leaderEpoch()));
          }
        }
        return records;
      }
    }
  }
}
