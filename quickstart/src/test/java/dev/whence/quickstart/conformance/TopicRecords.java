package dev.whence.quickstart.conformance;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.schemas.AvroSerdes;
import dev.whence.schemas.EventHeaders;
import dev.whence.schemas.Topic;
import dev.whence.schemas.Topics;
import io.confluent.kafka.serializers.KafkaAvroDeserializer;
import io.confluent.kafka.serializers.KafkaAvroSerializer;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DatumReader;
import org.apache.avro.io.DatumWriter;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.specific.SpecificData;
import org.apache.avro.specific.SpecificDatumReader;
import org.apache.avro.specific.SpecificDatumWriter;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * What readers in other languages are held against: puts {@link SampleRecords} on every topic of
 * the catalogue that has a contract, then reads all that is committed there with Confluent's
 * deserializer and writes it down, one JSON object per record:
 *
 * <pre>
 *   {"topic", "partition", "offset", "key", "headers": [[name, value], ...], "schemaId",
 *    "wide": whether a 64 bit integer is none of JavaScript's,
 *    "value": see {@link CanonicalValues}; null for a tombstone}
 * </pre>
 *
 * <p>Samples are written as the processors write: generated records, without registration, in
 * transactions. One transaction of each topic is aborted: nobody may see its record.
 */
public final class TopicRecords {
  /** Key of the record that is never committed. */
  static final String ABORTED = "aborted";

  /** Key of the tombstone on compacted topics. */
  static final String TOMBSTONE = "tombstone";

  private static final JsonNodeFactory NODES = JsonNodeFactory.instance;
  private static final Duration PATIENCE = Duration.ofSeconds(60);
  private static final String STAGE = "conformance";
  private static final String TRACEPARENT =
      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

  private final String bootstrapServers;
  private final String registryUrl;
  private final List<Topic> topics;

  TopicRecords(String bootstrapServers, String registryUrl, Topics topics) {
    this.bootstrapServers = bootstrapServers;
    this.registryUrl = registryUrl;
    this.topics = topics.all().stream().filter(topic -> topic.value().isPresent()).toList();
  }

  /** Arguments: bootstrap servers, address of the registry, the file to write. */
  public static void main(String[] args) throws IOException {
    TopicRecords records = new TopicRecords(args[0], args[1], new Topics(Topics.DEFAULT_PREFIX));
    records.writeSamples();
    List<ObjectNode> read = records.read();
    Files.writeString(
        Path.of(args[2]), String.join("\n", read.stream().map(JsonNode::toString).toList()) + "\n");
    Map<String, Integer> all = new TreeMap<>();
    Map<String, Integer> samples = new HashMap<>();
    for (ObjectNode record : read) {
      String topic = record.path("topic").asText();
      all.merge(topic, 1, Integer::sum);
      samples.merge(topic, isSample(record) ? 1 : 0, Integer::sum);
    }
    all.forEach(
        (topic, count) ->
            System.out.println(
                topic + ": " + count + " records, " + samples.get(topic) + " of them samples"));
  }

  private static boolean isSample(ObjectNode record) {
    for (JsonNode header : record.path("headers")) {
      if (header.path(0).asText().equals(EventHeaders.SOURCE)) {
        return header.path(1).asText().equals("/whence/" + STAGE + "/samples");
      }
    }
    return record.path("key").asText().equals(TOMBSTONE);
  }

  void writeSamples() throws IOException {
    Map<String, Object> properties =
        Map.of(
            "bootstrap.servers", bootstrapServers,
            "transactional.id", "conformance",
            "compression.type", "zstd");
    try (KafkaAvroSerializer serializer = new KafkaAvroSerializer();
        KafkaProducer<String, Object> producer =
            new KafkaProducer<>(properties, new StringSerializer(), serializer)) {
      serializer.configure(AvroSerdes.serializer(registryUrl, false, Map.of()), false);
      producer.initTransactions();
      for (Topic topic : topics) {
        Map<String, GenericRecord> samples =
            SampleRecords.of(topic.value().orElseThrow(), topic.key());
        producer.beginTransaction();
        send(producer, topic, ABORTED, samples.get("bare"));
        producer.flush();
        producer.abortTransaction();

        producer.beginTransaction();
        for (Map.Entry<String, GenericRecord> sample : samples.entrySet()) {
          send(producer, topic, sample.getKey(), sample.getValue());
        }
        if (topic.cleanup() == Topic.Cleanup.COMPACT) {
          var unused = producer.send(new ProducerRecord<>(topic.name(), TOMBSTONE, null));
        }
        // Fails if any of the records above could not be written.
        producer.commitTransaction();
      }
    }
  }

  private static void send(
      KafkaProducer<String, Object> producer, Topic topic, String key, GenericRecord value)
      throws IOException {
    ProducerRecord<String, Object> record =
        new ProducerRecord<>(topic.name(), key, generated(value));
    EventHeaders.of(value.getSchema(), STAGE, "samples", key, 0, TRACEPARENT)
        .toMap()
        .forEach((name, bytes) -> record.headers().add(name, bytes));
    var unused = producer.send(record);
  }

  /** All that is committed, by topic, partition and offset. */
  List<ObjectNode> read() throws IOException {
    Map<String, Object> properties =
        Map.of(
            "bootstrap.servers", bootstrapServers,
            "isolation.level", "read_committed",
            "enable.auto.commit", "false",
            "auto.offset.reset", "earliest",
            "group.id", "conformance-java");
    try (KafkaAvroDeserializer ours = deserializer(true);
        KafkaAvroDeserializer anyones = deserializer(false);
        KafkaConsumer<String, byte[]> consumer =
            new KafkaConsumer<>(
                properties, new StringDeserializer(), new ByteArrayDeserializer())) {
      List<ObjectNode> records = new ArrayList<>();
      for (Topic topic : topics) {
        List<TopicPartition> partitions =
            consumer.partitionsFor(topic.name()).stream()
                .map(info -> new TopicPartition(info.topic(), info.partition()))
                .toList();
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
        Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (partitions.stream().anyMatch(at -> consumer.position(at) < ends.get(at))) {
          if (System.nanoTime() > deadline) {
            throw new IOException(
                "the end of topic "
                    + topic.name()
                    + " was not reached in "
                    + PATIENCE.toSeconds()
                    + " s; look for an open transaction");
          }
          for (ConsumerRecord<String, byte[]> record : consumer.poll(Duration.ofMillis(100))) {
            records.add(line(topic, record, ours, anyones));
          }
        }
      }
      records.sort(
          Comparator.comparing((ObjectNode record) -> record.path("topic").asText())
              .thenComparing(record -> record.path("partition").asInt())
              .thenComparing(record -> record.path("offset").asLong()));
      return records;
    }
  }

  private static ObjectNode line(
      Topic topic,
      ConsumerRecord<String, byte[]> record,
      KafkaAvroDeserializer ours,
      KafkaAvroDeserializer anyones)
      throws IOException {
    ObjectNode line = NODES.objectNode();
    line.put("topic", record.topic());
    line.put("partition", record.partition());
    line.put("offset", record.offset());
    line.put("key", record.key());
    ArrayNode headers = line.putArray("headers");
    for (Header header : record.headers()) {
      headers.addArray().add(header.key()).add(new String(header.value(), StandardCharsets.UTF_8));
    }
    if (record.value() == null) {
      line.putNull("schemaId").put("wide", false).putNull("value");
      return line;
    }
    GenericRecord value = (GenericRecord) anyones.deserialize(topic.name(), record.value());
    JsonNode json = CanonicalValues.json(value.getSchema(), value);
    GenericRecord again =
        generic(ours.deserialize(topic.name(), record.value()), value.getSchema());
    require(
        json.equals(CanonicalValues.json(value.getSchema(), again)),
        record,
        "reads otherwise with Whence's own classes");
    require(
        record.key().equals(json.path(topic.key()).asText()),
        record,
        "has another key than its field " + topic.key() + " says");
    requireCloudEvent(record, value.getSchema().getName());
    line.put("schemaId", ByteBuffer.wrap(record.value()).getInt(1));
    line.put("wide", isWide(value.getSchema(), value));
    line.set("value", json);
    return line;
  }

  /** The attributes that CloudEvents 1.0 asks for, in Kafka's binary mode. */
  private static void requireCloudEvent(ConsumerRecord<String, byte[]> record, String name) {
    Map<String, String> headers = new HashMap<>();
    for (Header header : record.headers()) {
      headers.put(header.key(), new String(header.value(), StandardCharsets.UTF_8));
    }
    require(
        "application/avro".equals(headers.get(EventHeaders.CONTENT_TYPE))
            && "1.0".equals(headers.get(EventHeaders.SPEC_VERSION))
            && ("dev.whence." + name + ".v1").equals(headers.get(EventHeaders.TYPE))
            && !headers.getOrDefault(EventHeaders.SOURCE, "").isEmpty()
            && !headers.getOrDefault(EventHeaders.ID, "").isEmpty(),
        record,
        "is no CloudEvent of type dev.whence."
            + name
            + ".v1: it has the headers "
            + headers.keySet());
  }

  private static void require(boolean condition, ConsumerRecord<?, ?> record, String otherwise) {
    if (!condition) {
      throw new IllegalStateException(
          "the record at offset "
              + record.offset()
              + " of partition "
              + record.partition()
              + " of "
              + record.topic()
              + " "
              + otherwise);
    }
  }

  private static boolean isWide(Schema schema, Object value) {
    return switch (schema.getType()) {
      case RECORD ->
          schema.getFields().stream()
              .anyMatch(field -> isWide(field.schema(), ((GenericRecord) value).get(field.pos())));
      case ARRAY ->
          ((List<?>) value).stream().anyMatch(one -> isWide(schema.getElementType(), one));
      case MAP ->
          ((Map<?, ?>) value).values().stream().anyMatch(one -> isWide(schema.getValueType(), one));
      case UNION -> value != null && isWide(schema.getTypes().get(1), value);
      case LONG ->
          (long) value > SampleRecords.LARGEST_PLAIN_INTEGER
              || (long) value < SampleRecords.LEAST_PLAIN_INTEGER;
      default -> false;
    };
  }

  private KafkaAvroDeserializer deserializer(boolean specific) {
    Map<String, Object> configuration = AvroSerdes.deserializer(registryUrl, Map.of());
    configuration.put("specific.avro.reader", specific);
    KafkaAvroDeserializer deserializer = new KafkaAvroDeserializer();
    deserializer.configure(configuration, false);
    return deserializer;
  }

  /** The same record as an instance of its generated class. */
  static Object generated(GenericRecord record) throws IOException {
    Schema schema = record.getSchema();
    SpecificData data = SpecificData.getForSchema(schema);
    Schema own = data.getSchema(data.getClass(schema));
    return decode(
        encode(new GenericDatumWriter<>(schema), record),
        new SpecificDatumReader<>(schema, own, data));
  }

  /** The same record without its generated class, times as numbers. */
  static GenericRecord generic(Object record, Schema schema) throws IOException {
    SpecificData data = SpecificData.getForSchema(schema);
    Schema own = data.getSchema(record.getClass());
    return decode(
        encode(new SpecificDatumWriter<>(own, data), record),
        new GenericDatumReader<GenericRecord>(own, schema));
  }

  private static <T> byte[] encode(DatumWriter<T> writer, T record) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(bytes, null);
    writer.write(record, encoder);
    encoder.flush();
    return bytes.toByteArray();
  }

  private static <T> T decode(byte[] bytes, DatumReader<T> reader) throws IOException {
    return reader.read(null, DecoderFactory.get().binaryDecoder(bytes, null));
  }
}
