package dev.whence.embedded;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.confluent.kafka.schemaregistry.avro.AvroSchema;
import io.confluent.kafka.schemaregistry.client.CachedSchemaRegistryClient;
import io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException;
import io.confluent.kafka.serializers.KafkaAvroDeserializer;
import io.confluent.kafka.serializers.KafkaAvroSerializer;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.SchemaBuilder;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The real Confluent serializer, deserializer and client against broker and registry. */
class ConfluentSerializerIT {
  private static final Schema FIRST =
      SchemaBuilder.record("Answer").namespace("n").fields().requiredString("text").endRecord();
  private static final Schema SECOND =
      SchemaBuilder.record("Answer")
          .namespace("n")
          .fields()
          .requiredString("text")
          .name("nats")
          .type()
          .doubleType()
          .doubleDefault(0)
          .endRecord();
  private static final Schema BREAKING =
      SchemaBuilder.record("Answer").namespace("n").fields().requiredInt("text").endRecord();

  @TempDir Path directory;

  @Test
  void recordsOfTwoVersionsComeBackThroughARegistryThatWasRestarted() throws Exception {
    GenericRecord first = new GenericData.Record(FIRST);
    first.put("text", "x");
    GenericRecord second = new GenericData.Record(SECOND);
    second.put("text", "y");
    second.put("nats", 1.5);

    try (EmbeddedBroker broker = EmbeddedBroker.open(directory.resolve("kafka"))) {
      try (Admin admin = Admin.create(Map.of("bootstrap.servers", broker.bootstrapServers()))) {
        admin.createTopics(List.of(new NewTopic("answers", 1, (short) 1))).all().get();
      }
      try (EmbeddedRegistry registry = EmbeddedRegistry.open(directory.resolve("registry"));
          KafkaProducer<String, Object> producer =
              new KafkaProducer<>(
                  Map.of("bootstrap.servers", broker.bootstrapServers()),
                  new StringSerializer(),
                  serializer(registry))) {
        producer.send(new ProducerRecord<>("answers", "k", first)).get();
        producer.send(new ProducerRecord<>("answers", "k", second)).get();
      }
      try (EmbeddedRegistry registry = EmbeddedRegistry.open(directory.resolve("registry"))) {
        assertThat(read(broker, registry)).containsExactly(first, second);
      }
    }
  }

  @Test
  void theClientSeesIdsVersionsLevelsAndErrors() throws Exception {
    try (EmbeddedRegistry registry = EmbeddedRegistry.open(directory);
        CachedSchemaRegistryClient client = new CachedSchemaRegistryClient(registry.url(), 10)) {
      int id = client.register("answers-value", new AvroSchema(FIRST));
      client.updateCompatibility("answers-value", "FULL_TRANSITIVE");

      assertThat(client.getId("answers-value", new AvroSchema(FIRST))).isEqualTo(id);
      assertThat(client.getVersion("answers-value", new AvroSchema(FIRST))).isEqualTo(1);
      assertThat(client.getSchemaById(id).rawSchema()).isEqualTo(FIRST);
      assertThat(client.getAllSubjectsById(id)).containsExactly("answers-value");
      assertThat(client.getCompatibility("answers-value")).isEqualTo("FULL_TRANSITIVE");
      assertThat(client.testCompatibility("answers-value", new AvroSchema(SECOND))).isTrue();
      assertThat(client.testCompatibility("answers-value", new AvroSchema(BREAKING))).isFalse();
      assertThat(
              client.testCompatibilityVerbose("answers-value", new AvroSchema(BREAKING)).toString())
          .contains("TYPE_MISMATCH");
      assertThat(client.register("answers-value", new AvroSchema(SECOND))).isEqualTo(id + 1);
      assertThat(client.getLatestSchemaMetadata("answers-value").getVersion()).isEqualTo(2);
      assertThat(client.getAllVersions("answers-value")).containsExactly(1, 2);
      assertThatThrownBy(() -> client.register("answers-value", new AvroSchema(BREAKING)))
          .isInstanceOfSatisfying(
              RestClientException.class, e -> assertThat(e.getErrorCode()).isEqualTo(409));
      assertThatThrownBy(() -> client.getLatestSchemaMetadata("nobody"))
          .isInstanceOfSatisfying(
              RestClientException.class, e -> assertThat(e.getErrorCode()).isEqualTo(40401));
      assertThatThrownBy(() -> client.getSchemaById(99))
          .isInstanceOfSatisfying(
              RestClientException.class, e -> assertThat(e.getErrorCode()).isEqualTo(40403));
    }
  }

  @Test
  void aSerializerThatMustNotRegisterFindsWhatIsThereAndOnlyThat() throws Exception {
    try (EmbeddedRegistry registry = EmbeddedRegistry.open(directory);
        CachedSchemaRegistryClient client = new CachedSchemaRegistryClient(registry.url(), 10);
        KafkaAvroSerializer serializer = new KafkaAvroSerializer()) {
      int id = client.register("answers-value", new AvroSchema(FIRST));
      serializer.configure(
          Map.of("schema.registry.url", registry.url(), "auto.register.schemas", "false"), false);
      GenericRecord known = new GenericData.Record(FIRST);
      known.put("text", "x");
      GenericRecord unknown = new GenericData.Record(BREAKING);
      unknown.put("text", 1);

      ByteBuffer framed = ByteBuffer.wrap(serializer.serialize("answers", known));
      assertThat(framed.get()).isZero(); // the wire format's magic byte, then the id
      assertThat(framed.getInt()).isEqualTo(id);
      assertThatThrownBy(() -> serializer.serialize("answers", unknown))
          .hasRootCauseInstanceOf(RestClientException.class)
          .hasRootCauseMessage("Schema not found; error code: 40403");
    }
  }

  private static KafkaAvroSerializer serializer(EmbeddedRegistry registry) {
    KafkaAvroSerializer serializer = new KafkaAvroSerializer();
    serializer.configure(Map.of("schema.registry.url", registry.url()), false);
    return serializer;
  }

  private static List<Object> read(EmbeddedBroker broker, EmbeddedRegistry registry) {
    KafkaAvroDeserializer deserializer = new KafkaAvroDeserializer();
    deserializer.configure(Map.of("schema.registry.url", registry.url()), false);
    List<TopicPartition> partition = List.of(new TopicPartition("answers", 0));
    try (KafkaConsumer<String, Object> consumer =
        new KafkaConsumer<>(
            Map.of("bootstrap.servers", broker.bootstrapServers()),
            new StringDeserializer(),
            deserializer)) {
      consumer.assign(partition);
      consumer.seekToBeginning(partition);
      List<Object> values = new ArrayList<>();
      long deadline = System.nanoTime() + Duration.ofSeconds(20).toNanos();
      while (values.size() < 2 && System.nanoTime() < deadline) {
        for (ConsumerRecord<String, Object> record : consumer.poll(Duration.ofMillis(100))) {
          values.add(record.value());
        }
      }
      return values;
    }
  }
}
