package dev.whence.runtime.kafka;

import dev.whence.runtime.worker.EnvironmentException;
import java.time.Duration;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;

/**
 * The partition of a topic that is read as a whole, in its order. Where there are more, one that a
 * broker made by itself above all, what is written to the others would never be read.
 */
public final class OnePartition {
  private static final Duration LOOK_UP = Duration.ofSeconds(10);

  private OnePartition() {}

  /**
   * The one partition.
   *
   * @param consumer that must create no topics
   * @throws EnvironmentException if the topic is not there, or has more
   * @throws KafkaException if the brokers do not answer
   */
  public static TopicPartition of(Consumer<byte[], byte[]> consumer, String topic) {
    int partitions = consumer.partitionsFor(topic, LOOK_UP).size();
    if (partitions == 0) {
      throw new EnvironmentException(
          "topic " + topic + " does not exist: create it (whence topics --create)");
    }
    if (partitions > 1) {
      throw new EnvironmentException(
          "topic "
              + topic
              + " has "
              + partitions
              + " partitions but must have one, because it is read in order as a whole. Create it"
              + " anew with one partition (delete it, then run whence topics --create); its records"
              + " are lost by that, so publish again those that you still need.");
    }
    return new TopicPartition(topic, 0);
  }
}
