package dev.whence.transfer.stage;

import dev.whence.runtime.kafka.Clients;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.TopicPartition;

/** Reads all that is committed in a topic of one partition, up to the end that it has now. */
final class TopicReader {
  private static final Duration POLL = Duration.ofMillis(100);
  private static final Duration LOOK_UP = Duration.ofSeconds(10);

  private TopicReader() {}

  /**
   * Reads.
   *
   * @param clientId for logs and quotas
   * @param take gets each record, in order
   * @throws org.apache.kafka.common.KafkaException if the brokers do not answer
   */
  static void read(
      Clients clients,
      String topic,
      String clientId,
      java.util.function.Consumer<ConsumerRecord<byte[], byte[]>> take) {
    TopicPartition partition = new TopicPartition(topic, 0);
    List<TopicPartition> all = List.of(partition);
    try (Consumer<byte[], byte[]> reader = clients.reader(clientId)) {
      reader.assign(all);
      reader.seekToBeginning(all);
      Map<TopicPartition, Long> ends = reader.endOffsets(all, LOOK_UP);
      long end = ends.getOrDefault(partition, 0L);
      while (reader.position(partition, LOOK_UP) < end) {
        reader.poll(POLL).records(partition).forEach(take);
      }
    }
  }
}
