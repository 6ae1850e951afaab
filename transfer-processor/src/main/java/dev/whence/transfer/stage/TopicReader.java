package dev.whence.transfer.stage;

import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.kafka.OnePartition;
import dev.whence.runtime.kafka.PartitionRange;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/** Reads all that is committed in a topic of one partition, up to the end that it has now. */
final class TopicReader {
  private TopicReader() {}

  /**
   * Reads.
   *
   * @param clientId for logs and quotas
   * @param take gets each record, in order
   * @throws org.apache.kafka.common.KafkaException if the brokers do not answer
   * @throws dev.whence.runtime.worker.EnvironmentException if there is no such topic, or it has
   *     more
   */
  static void read(
      Clients clients,
      String topic,
      String clientId,
      java.util.function.Consumer<ConsumerRecord<byte[], byte[]>> take) {
    try (Consumer<byte[], byte[]> consumer =
        clients.reader(clientId, Clients.RECORDS_OF_ONE_POLL)) {
      PartitionRange.now(consumer, OnePartition.of(consumer, topic))
          .read(consumer, (records, next) -> records.forEach(take));
    }
  }
}
