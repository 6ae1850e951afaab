package dev.whence.embedded;

import org.testcontainers.junit.jupiter.Container;
import org.testcontainers.junit.jupiter.Testcontainers;
import org.testcontainers.kafka.KafkaContainer;

/** The contract on the broker that Apache ships; skipped, visibly, without Docker. */
@Testcontainers(disabledWithoutDocker = true)
class KafkaContainerIT extends KafkaContract {
  @Container private static final KafkaContainer KAFKA = new KafkaContainer("apache/kafka:4.2.1");

  @Override
  String bootstrapServers() {
    return KAFKA.getBootstrapServers();
  }
}
