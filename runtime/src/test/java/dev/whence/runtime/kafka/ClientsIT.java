package dev.whence.runtime.kafka;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.embedded.EmbeddedBroker;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.config.GroupProtocol;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** With a broker that goes away, and one that creates what it is asked for. */
@Timeout(120)
class ClientsIT {
  @Test
  void whatReadsATopicCreatesNoneAndOneThatIsReadAsAWholeMustHaveOnePartition(
      @TempDir Path directory) throws Exception {
    Map<String, String> creating = Map.of("auto.create.topics.enable", "true");
    try (EmbeddedBroker broker = EmbeddedBroker.open(directory, 0, creating)) {
      Clients clients = new Clients(Connection.of(broker.bootstrapServers(), "http://unused:1"));
      for (GroupProtocol protocol : GroupProtocol.values()) {
        try (Consumer<byte[], byte[]> consumer =
            clients.groupConsumer("group-" + protocol, protocol, "member", 1)) {
          consumer.subscribe(List.of("whence.transfers"));
          for (int i = 0; i < 20; i++) {
            assertThat(consumer.poll(Duration.ofMillis(100))).isEmpty();
          }
        }
      }
      assertThat(saidOf(clients, "whence.transfers"))
          .isEqualTo("topic whence.transfers does not exist: create it (whence topics --create)");
      try (Admin admin = clients.admin()) {
        assertThat(admin.listTopics().names().get()).doesNotContain("whence.transfers");
        admin.createTopics(List.of(new NewTopic("whence.models", 3, (short) 1))).all().get();
      }
      assertThat(saidOf(clients, "whence.models"))
          .startsWith(
              "topic whence.models has 3 partitions but must have one, because it is read in order"
                  + " as a whole. Create it anew with one partition");
    }
  }

  private static String saidOf(Clients clients, String topic) throws Exception {
    CompletableFuture<String> said = new CompletableFuture<>();
    PartitionFollower.Reader reader =
        new PartitionFollower.Reader() {
          @Override
          public void begin(long end) {}

          @Override
          public void take(ConsumerRecord<byte[], byte[]> record) {}

          @Override
          public void reached() {
            said.complete("reached");
          }

          @Override
          public void failed(String why) {
            said.complete(why);
          }
        };
    try (PartitionFollower follower =
        new PartitionFollower(clients, topic, "follower", reader, why -> {})) {
      follower.start();
      return said.get(30, TimeUnit.SECONDS);
    }
  }

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
