package dev.whence.transfer.stage;

import dev.whence.runtime.kafka.Clients;
import dev.whence.schemas.Topics;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * Takes a published model back: a tombstone for its release, after which the release before it is
 * live again in every role. The files stay where they are.
 */
public final class Rollback {
  private Rollback() {}

  /**
   * Withdraws a release.
   *
   * @param modelId of the release
   * @throws org.apache.kafka.common.KafkaException if it can not be written
   */
  public static void withdraw(Clients clients, Topics topics, String modelId) {
    try (Producer<byte[], byte[]> producer =
        clients.transactionalProducer("whence-rollback-" + modelId)) {
      producer.initTransactions();
      producer.beginTransaction();
      var unused =
          producer.send(
              new ProducerRecord<>(
                  topics.models().name(), modelId.getBytes(StandardCharsets.UTF_8), null));
      producer.commitTransaction();
    }
  }
}
