package dev.whence.embedded;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What Whence needs of a Kafka cluster: consume, produce and commit in one transaction, in both
 * group protocols. The same tests run on the embedded broker and on a broker in a container.
 */
abstract class KafkaContract {
  private static final Duration PATIENCE = Duration.ofSeconds(30);

  abstract String bootstrapServers();

  @ParameterizedTest
  @ValueSource(strings = {"consumer", "classic"})
  void whatOneTransactionReadsAndWritesIsThereOnce(String groupProtocol) throws Exception {
    String id = UUID.randomUUID().toString();
    String in = "in-" + id;
    String out = "out-" + id;
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrapServers()))) {
      admin
          .createTopics(List.of(new NewTopic(in, 1, (short) 1), new NewTopic(out, 1, (short) 1)))
          .all()
          .get();
    }
    try (KafkaProducer<String, String> plain = producer(Map.of())) {
      plain.send(new ProducerRecord<>(in, "k", "question")).get();
    }
    TopicPartition source = new TopicPartition(in, 0);
    Map<String, Object> member =
        Map.of(
            "group.id",
            "group-" + id,
            "group.protocol",
            groupProtocol,
            "auto.offset.reset",
            "earliest");
    try (KafkaConsumer<String, String> consumer = consumer(member);
        KafkaProducer<String, String> producer = producer(Map.of("transactional.id", "tx-" + id))) {
      producer.initTransactions();
      consumer.subscribe(List.of(in));
      assertThat(poll(consumer, 1)).containsExactly("question");

      producer.beginTransaction();
      producer.send(new ProducerRecord<>(out, "k", "aborted")).get();
      producer.abortTransaction();

      producer.beginTransaction();
      producer.send(new ProducerRecord<>(out, "k", "committed")).get();
      producer.sendOffsetsToTransaction(
          Map.of(source, new OffsetAndMetadata(1, "attempt=0")), consumer.groupMetadata());
      producer.commitTransaction();

      OffsetAndMetadata offset = consumer.committed(Set.of(source)).get(source);
      assertThat(offset.offset()).isEqualTo(1);
      assertThat(offset.metadata()).isEqualTo("attempt=0");
    }
    try (KafkaConsumer<String, String> reader = consumer(Map.of("auto.offset.reset", "earliest"))) {
      reader.assign(List.of(new TopicPartition(out, 0)));
      assertThat(poll(reader, 1)).containsExactly("committed");
    }
  }

  private static List<String> poll(KafkaConsumer<String, String> consumer, int wanted) {
    List<String> values = new ArrayList<>();
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (values.size() < wanted && System.nanoTime() < deadline) {
      ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(200));
      records.forEach(record -> values.add(record.value()));
    }
    return values;
  }

  private KafkaProducer<String, String> producer(Map<String, Object> more) {
    return new KafkaProducer<>(with(more), new StringSerializer(), new StringSerializer());
  }

  private KafkaConsumer<String, String> consumer(Map<String, Object> more) {
    Map<String, Object> properties = with(more);
    properties.put("isolation.level", "read_committed");
    properties.put("enable.auto.commit", "false");
    return new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer());
  }

  private Map<String, Object> with(Map<String, Object> more) {
    Map<String, Object> properties = new HashMap<>(more);
    properties.put("bootstrap.servers", bootstrapServers());
    return properties;
  }
}
