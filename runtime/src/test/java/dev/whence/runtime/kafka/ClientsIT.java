package dev.whence.runtime.kafka;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.embedded.EmbeddedBroker;
import dev.whence.runtime.config.Connection;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** With a broker that goes away. */
@Timeout(120)
class ClientsIT {
  @Test
  void aProducerWhoseBrokersWentInATransactionClosesSoon(@TempDir Path directory) throws Exception {
    Producer<byte[], byte[]> producer;
    try (EmbeddedBroker broker = EmbeddedBroker.open(directory)) {
      Clients clients = new Clients(Connection.of(broker.bootstrapServers(), "http://unused:1"));
      try (Admin admin = clients.admin()) {
        admin.createTopics(List.of(new NewTopic("topic", 1, (short) 1))).all().get();
      }
      producer = clients.transactionalProducer("some-id");
      producer.initTransactions();
      producer.beginTransaction();
      producer.send(new ProducerRecord<>("topic", "v".getBytes(StandardCharsets.UTF_8))).get();
    }
    long began = System.nanoTime();
    producer.close();
    assertThat(Duration.ofNanos(System.nanoTime() - began)).isLessThan(Duration.ofSeconds(15));
  }
}
