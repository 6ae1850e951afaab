package dev.whence.embedded;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EmbeddedBrokerIT {
  private static final TopicPartition PARTITION = new TopicPartition("answers", 0);

  @TempDir Path directory;

  @Test
  void committedRecordsAreReadAndAbortedOnesAreNot() throws Exception {
    try (EmbeddedBroker broker = EmbeddedBroker.open(directory)) {
      createTopic(broker);
      try (KafkaProducer<String, String> producer = producer(broker, "tx-1")) {
        producer.initTransactions();
        producer.beginTransaction();
        send(producer, "aborted");
        producer.abortTransaction();
        producer.beginTransaction();
        send(producer, "committed");
        commitOffset(broker, producer, 7);
        producer.commitTransaction();
      }

      assertThat(read(broker, 1)).containsExactly("committed");
      assertThat(committed(broker)).isEqualTo(7);
    }
  }

  @Test
  void aStoppedBrokerComesBackOnTheSamePortWithItsDataAndClientsGoOn() throws Exception {
    try (EmbeddedBroker broker = EmbeddedBroker.open(directory)) {
      createTopic(broker);
      String address = broker.bootstrapServers();
      try (KafkaProducer<String, String> producer = producer(broker, "tx-1")) {
        producer.initTransactions();
        commit(producer, "before");

        broker.stop();
        assertThat(broker.isRunning()).isFalse();
        broker.start();

        assertThat(broker.bootstrapServers()).isEqualTo(address);
        commit(producer, "after");
      }

      assertThat(read(broker, 2)).containsExactly("before", "after");
    }
  }

  @Test
  void aBrokerComesBackWhereSomebodyHasTakenTheControllersPortMeanwhile() throws Exception {
    List<ServerSocket> others = new ArrayList<>();
    try (EmbeddedBroker broker = EmbeddedBroker.open(directory)) {
      createTopic(broker);
      String cluster = clusterId(broker);
      List<Integer> taken =
          IntStream.range(20_000, 32_000)
              .filter(port -> !LoopbackPorts.isFree(port))
              .boxed()
              .toList();
      broker.stop();
      for (int port : taken) {
        if (port != broker.port() && LoopbackPorts.isFree(port)) {
          ServerSocket other = new ServerSocket();
          others.add(other);
          other.bind(LoopbackPorts.address(port));
        }
      }
      assertThat(others).isNotEmpty();

      broker.start();

      assertThat(clusterId(broker)).isEqualTo(cluster);
    } finally {
      for (ServerSocket other : others) {
        other.close();
      }
    }
  }

  @Test
  void aSecondStartOnTheSameDirectoryKeepsRecordsOffsetsAndTheClusterId() throws Exception {
    String cluster;
    try (EmbeddedBroker first = EmbeddedBroker.open(directory)) {
      createTopic(first);
      cluster = clusterId(first);
      try (KafkaProducer<String, String> producer = producer(first, "tx-1")) {
        producer.initTransactions();
        producer.beginTransaction();
        send(producer, "kept");
        commitOffset(first, producer, 1);
        producer.commitTransaction();
      }
    }

    try (EmbeddedBroker second = EmbeddedBroker.open(directory)) {
      assertThat(clusterId(second)).isEqualTo(cluster);
      assertThat(read(second, 1)).containsExactly("kept");
      assertThat(committed(second)).isEqualTo(1);
    }
  }

  @Test
  void aDirectoryInUseIsRefusedWithOneSentence() throws Exception {
    try (EmbeddedBroker broker = EmbeddedBroker.open(directory)) {
      assertThat(broker.isRunning()).isTrue();
      assertThatThrownBy(() -> EmbeddedBroker.open(directory))
          .isInstanceOf(DataDirectoryInUseException.class)
          .hasMessageContaining(directory.toString())
          .hasMessageContaining("in use by another process");
    }
  }

  @Test
  void aDirectoryThatKafkaWouldTakeForTwoIsRefused() {
    Path two = directory.resolve("Doe, John");
    assertThatThrownBy(() -> EmbeddedBroker.open(two))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("Doe, John' has a comma");
    assertThat(two).doesNotExist();
  }

  @Test
  void aTakenPortIsRefusedAndTheDirectoryIsFreeAgain() throws Exception {
    try (ServerSocket taken = new ServerSocket()) {
      taken.bind(LoopbackPorts.address(0));
      assertThatThrownBy(() -> EmbeddedBroker.open(directory, taken.getLocalPort(), Map.of()))
          .isInstanceOf(IOException.class)
          .hasMessageContaining("port " + taken.getLocalPort() + " of 127.0.0.1 is taken");
    }
    DataDirectory.acquire(directory).close();
  }

  private static void commit(KafkaProducer<String, String> producer, String value)
      throws Exception {
    producer.beginTransaction();
    send(producer, value);
    producer.commitTransaction();
  }

  private static void send(KafkaProducer<String, String> producer, String value) throws Exception {
    producer.send(new ProducerRecord<>("answers", "k", value)).get();
  }

  private static void commitOffset(
      EmbeddedBroker broker, KafkaProducer<String, String> producer, long offset) {
    try (KafkaConsumer<String, String> group =
        new KafkaConsumer<>(
            Map.of("bootstrap.servers", broker.bootstrapServers(), "group.id", "readers"),
            new StringDeserializer(),
            new StringDeserializer())) {
      producer.sendOffsetsToTransaction(
          Map.of(PARTITION, new OffsetAndMetadata(offset)), group.groupMetadata());
    }
  }

  private static void createTopic(EmbeddedBroker broker) throws Exception {
    try (Admin admin = admin(broker)) {
      admin
          .createTopics(List.of(new NewTopic("answers", Optional.of(1), Optional.empty())))
          .all()
          .get();
    }
  }

  private static String clusterId(EmbeddedBroker broker) throws Exception {
    try (Admin admin = admin(broker)) {
      return admin.describeCluster().clusterId().get();
    }
  }

  private static long committed(EmbeddedBroker broker) throws Exception {
    try (Admin admin = admin(broker)) {
      return admin
          .listConsumerGroupOffsets("readers")
          .partitionsToOffsetAndMetadata()
          .get()
          .get(PARTITION)
          .offset();
    }
  }

  private static Admin admin(EmbeddedBroker broker) {
    return Admin.create(Map.of("bootstrap.servers", broker.bootstrapServers()));
  }

  private static KafkaProducer<String, String> producer(EmbeddedBroker broker, String id) {
    return new KafkaProducer<>(
        Map.of("bootstrap.servers", broker.bootstrapServers(), "transactional.id", id),
        new StringSerializer(),
        new StringSerializer());
  }

  /** Reads until the end offset that a read_committed reader sees. */
  private static List<String> read(EmbeddedBroker broker, int atLeast) {
    try (KafkaConsumer<String, String> consumer =
        new KafkaConsumer<>(
            Map.of(
                "bootstrap.servers", broker.bootstrapServers(),
                "isolation.level", "read_committed",
                "auto.offset.reset", "none"),
            new StringDeserializer(),
            new StringDeserializer())) {
      consumer.assign(List.of(PARTITION));
      consumer.seekToBeginning(List.of(PARTITION));
      long end = consumer.endOffsets(List.of(PARTITION)).get(PARTITION);
      List<String> values = new ArrayList<>();
      long deadline = System.nanoTime() + Duration.ofSeconds(20).toNanos();
      while (consumer.position(PARTITION) < end && System.nanoTime() < deadline) {
        consumer.poll(Duration.ofMillis(100)).forEach(record -> values.add(record.value()));
      }
      assertThat(values.size()).isGreaterThanOrEqualTo(atLeast);
      return values;
    }
  }
}
