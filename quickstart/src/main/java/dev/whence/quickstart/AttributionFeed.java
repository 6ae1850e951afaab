package dev.whence.quickstart;

import dev.whence.runtime.config.Connection;
import dev.whence.runtime.kafka.Clients;
import dev.whence.schemas.AvroSerdes;
import dev.whence.schemas.Topic;
import dev.whence.schemas.avro.Attribution;
import io.confluent.kafka.serializers.KafkaAvroDeserializer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.TopicPartition;

/**
 * Attributions from now on, as any read_committed consumer with Confluent's deserializer sees them.
 * It has no group: it shows, and owes nobody anything.
 */
final class AttributionFeed implements AutoCloseable {
  private final Topic topic;
  private final Consumer<byte[], byte[]> consumer;
  private final KafkaAvroDeserializer deserializer = new KafkaAvroDeserializer();

  /** Returns when it stands at the end of the topic: what is committed later is seen. */
  AttributionFeed(Connection connection, Topic topic) {
    this.topic = topic;
    deserializer.configure(AvroSerdes.deserializer(connection.registryUrl(), Map.of()), false);
    consumer = new Clients(connection).reader("quickstart-view");
    List<TopicPartition> partitions =
        consumer.partitionsFor(topic.name()).stream()
            .map(info -> new TopicPartition(info.topic(), info.partition()))
            .toList();
    consumer.assign(partitions);
    consumer.endOffsets(partitions).forEach(consumer::seek);
  }

  /** What came in, waiting at most so long for the first. */
  List<Attribution> poll(Duration atMost) {
    List<Attribution> attributions = new ArrayList<>();
    for (ConsumerRecord<byte[], byte[]> record : consumer.poll(atMost)) {
      if (deserializer.deserialize(topic.name(), record.value())
          instanceof Attribution attribution) {
        attributions.add(attribution);
      }
    }
    return attributions;
  }

  @Override
  public void close() {
    consumer.close();
    deserializer.close();
  }
}
