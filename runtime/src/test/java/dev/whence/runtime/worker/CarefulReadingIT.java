package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.whence.runtime.kafka.RawBatches;
import dev.whence.runtime.worker.WorkerCluster.Topics;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Careful reading sees of a topic that is written in transactions what the consumer would. */
@Timeout(120)
class CarefulReadingIT {
  private static final int MOST_BYTES = 1000;

  @Test
  void onlyWhatIsCommittedIsReadAndWhatIsTooLargeIsNamed() throws Exception {
    WorkerCluster cluster = WorkerCluster.shared();
    Topics topics = cluster.topics(1);
    TopicPartition partition = new TopicPartition(topics.in(), 0);
    try (Admin admin = cluster.admin();
        RawBatches raw = cluster.clients().rawBatches(admin, "careful");
        CarefulReading careful = new CarefulReading(raw, MOST_BYTES);
        KafkaProducer<byte[], byte[]> one = transactional(cluster, topics.in() + "-1");
        KafkaProducer<byte[], byte[]> two = transactional(cluster, topics.in() + "-2")) {
      send(one, topics, "a", 2);
      one.commitTransaction();
      one.beginTransaction();
      send(one, topics, "aborted", 3);
      one.abortTransaction();
      one.beginTransaction();
      one.send(record(topics, "large", 4 * MOST_BYTES)).get();
      send(one, topics, "b", 2);
      one.commitTransaction();
      send(two, topics, "open", 2);
      one.beginTransaction();
      send(one, topics, "behind", 1);
      one.commitTransaction();

      awaitEnd(admin, partition, 11);
      careful.begin(partition, 0, 5);
      assertThat(all(careful, partition)).containsExactly("a0", "a1", "large!", "b0", "b1");

      careful.begin(partition, 1, 5);
      assertThat(all(careful, partition)).startsWith("a1", "large!");

      two.commitTransaction();
      awaitEnd(admin, partition, 16);
      careful.begin(partition, 11, 5);
      assertThat(all(careful, partition)).containsExactly("open0", "open1", "behind0");
    }
  }

  /** A transaction is committed before its markers are written; these move the end. */
  private static void awaitEnd(Admin admin, TopicPartition partition, long end) {
    await()
        .atMost(Duration.ofSeconds(30))
        .until(
            () ->
                admin
                        .listOffsets(
                            Map.of(partition, OffsetSpec.latest()),
                            new ListOffsetsOptions(IsolationLevel.READ_COMMITTED))
                        .partitionResult(partition)
                        .get()
                        .offset()
                    == end);
  }

  /** Until nothing more comes. */
  private static List<String> all(CarefulReading careful, TopicPartition partition) {
    List<String> keys = new ArrayList<>();
    int nothing = 0; // a read may end with its batch, or before a marker
    while (careful.partitions().contains(partition) && nothing < 20) {
      CarefulReading.Read read = careful.read(partition, 10, 1 << 20);
      for (UnpackedBatch.Unpacked one : read.records()) {
        byte[] key = one.record().key();
        assertThat(key).isNotNull();
        keys.add(new String(key, StandardCharsets.UTF_8) + (one.tooLarge().isPresent() ? "!" : ""));
      }
      nothing = read.records().isEmpty() ? nothing + 1 : 0;
    }
    careful.drop(partition);
    return keys;
  }

  private static KafkaProducer<byte[], byte[]> transactional(WorkerCluster cluster, String id) {
    Map<String, Object> properties = new HashMap<>();
    properties.put("bootstrap.servers", cluster.broker.bootstrapServers());
    properties.put("transactional.id", id);
    properties.put("compression.type", "gzip");
    properties.put("max.block.ms", (int) Duration.ofSeconds(60).toMillis());
    KafkaProducer<byte[], byte[]> producer =
        new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer());
    producer.initTransactions();
    producer.beginTransaction();
    return producer;
  }

  private static void send(
      KafkaProducer<byte[], byte[]> producer, Topics topics, String name, int count)
      throws Exception {
    for (int i = 0; i < count; i++) {
      producer.send(record(topics, name + i, 10)).get();
    }
  }

  private static ProducerRecord<byte[], byte[]> record(Topics topics, String key, int bytes) {
    return new ProducerRecord<>(topics.in(), 0, WorkerCluster.bytes(key), new byte[bytes]);
  }
}
