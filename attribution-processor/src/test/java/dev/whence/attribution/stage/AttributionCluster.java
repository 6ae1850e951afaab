package dev.whence.attribution.stage;

import dev.whence.conversation.Conversation;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Span;
import dev.whence.conversation.Trust;
import dev.whence.embedded.EmbeddedBroker;
import dev.whence.embedded.EmbeddedRegistry;
import dev.whence.embedded.RawRecords;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.config.Settings;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.topics.TopicAdmin;
import dev.whence.schemas.AvroSerdes;
import dev.whence.schemas.LlmResponses;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.Attribution;
import dev.whence.schemas.avro.Escalation;
import io.confluent.kafka.serializers.KafkaAvroDeserializer;
import io.confluent.kafka.serializers.KafkaAvroSerializer;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * A broker and a registry for the tests of this package; each test has a topic prefix of its own.
 */
final class AttributionCluster implements AutoCloseable {
  /** Decoders of random weights whose words are t0 to t159; 256 positions. */
  static final Path MODELS = Path.of("../engine/src/test/resources/fixtures/kernel");

  private static final List<AttributionCluster> OPEN = new ArrayList<>();

  final EmbeddedBroker broker;
  final EmbeddedRegistry registry;
  final Connection connection;

  private AttributionCluster(Map<String, String> brokerConfig) throws IOException {
    Path directory = Files.createTempDirectory("whence-attribution");
    broker = EmbeddedBroker.open(directory.resolve("broker"), 0, brokerConfig);
    registry = EmbeddedRegistry.open(directory.resolve("registry"));
    connection = Connection.of(broker.bootstrapServers(), registry.url());
  }

  /** One of its own, with a broker that is configured otherwise. */
  static AttributionCluster open(Map<String, String> brokerConfig) throws IOException {
    return new AttributionCluster(brokerConfig);
  }

  @Override
  public void close() throws IOException {
    broker.close();
    registry.close();
  }

  static synchronized AttributionCluster shared() throws IOException {
    if (OPEN.isEmpty()) {
      AttributionCluster cluster = open(Map.of());
      OPEN.add(cluster);
      Runtime.getRuntime()
          .addShutdownHook(
              new Thread(
                  () -> {
                    try {
                      cluster.close();
                    } catch (IOException e) {
                      throw new java.io.UncheckedIOException(e);
                    }
                  }));
    }
    return OPEN.get(0);
  }

  /** Fresh topics with registered schemas. */
  Topics topics() {
    Topics topics = new Topics("t" + UUID.randomUUID().toString().substring(0, 8) + ".");
    new TopicAdmin(new Clients(connection), topics.all()).create();
    return topics;
  }

  /** The settings of a processor on these topics, and more. */
  AttributionConfig config(Topics topics, Map<String, String> more) {
    return config(topics, registry.url(), more);
  }

  AttributionConfig config(Topics topics, String registryUrl, Map<String, String> more) {
    Map<String, String> settings = new HashMap<>();
    settings.put("kafka.bootstrap.servers", broker.bootstrapServers());
    settings.put("registry.url", registryUrl);
    settings.put("topics.prefix", prefix(topics));
    settings.put("group", prefix(topics) + "attribution");
    settings.put("instance.id", "test-0");
    settings.put("http.port", "0");
    settings.put("model", MODELS.resolve("smollm2").toString());
    settings.put("engine.dtype", "fp32");
    settings.put("engine.device", "cpu");
    settings.put("backoff.first", "100ms");
    settings.put("backoff.most", "500ms");
    settings.put("failure.undecided-for", "300ms");
    settings.putAll(more);
    return AttributionConfig.read(Settings.of(settings));
  }

  static String prefix(Topics topics) {
    String name = topics.models().name();
    return name.substring(0, name.length() - "models".length());
  }

  byte[] avro(String topic, org.apache.avro.specific.SpecificRecord value) {
    try (KafkaAvroSerializer serializer = new KafkaAvroSerializer()) {
      serializer.configure(AvroSerdes.serializer(registry.url(), false, Map.of()), false);
      return serializer.serialize(topic, value);
    }
  }

  byte[] avro(Topics topics, Conversation conversation) {
    return avro(topics.responses().name(), LlmResponses.toAvro(conversation));
  }

  void send(List<ProducerRecord<byte[], byte[]>> records) {
    raw().send(records);
  }

  private RawRecords raw() {
    return new RawRecords(broker.bootstrapServers());
  }

  static ProducerRecord<byte[], byte[]> record(String topic, String key, byte[] value) {
    return new ProducerRecord<>(topic, key.getBytes(StandardCharsets.UTF_8), value);
  }

  /** Everything committed in a topic. */
  List<ConsumerRecord<byte[], byte[]>> read(String topic) {
    return raw().committed(topic);
  }

  /** All attributions, as Confluent's deserializer reads them. */
  List<Attribution> attributions(Topics topics) {
    return read(topics.attributions().name(), Attribution.class);
  }

  /** All escalations, by the same. */
  List<Escalation> escalations(Topics topics) {
    return read(topics.escalations().name(), Escalation.class);
  }

  private <T> List<T> read(String topic, Class<T> type) {
    try (KafkaAvroDeserializer deserializer = new KafkaAvroDeserializer()) {
      deserializer.configure(AvroSerdes.deserializer(registry.url(), Map.of()), false);
      return read(topic).stream()
          .map(record -> type.cast(deserializer.deserialize(topic, record.value())))
          .toList();
    }
  }

  /** "t1 t2 t3": words of the models' vocabulary. */
  static String words(int from, int count) {
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < count; i++) {
      out.append(i == 0 ? "" : " ").append('t').append((from + i) % 160);
    }
    return out.toString();
  }

  /** A response on a document of three sources of eight words each, and a question. */
  static Conversation conversation(String id) {
    String document = words(10, 24) + " ";
    int first = words(10, 8).length() + 1;
    int second = words(10, 16).length() + 1;
    return conversation(
        id,
        words(50, 6),
        new Part(
            PartKind.RETRIEVED,
            "doc",
            "",
            "",
            Trust.RETRIEVED,
            document,
            true,
            List.of(
                new Span(0, first), new Span(first, second), new Span(second, document.length()))),
        Part.of(PartKind.QUESTION, "question", words(40, 4) + " "));
  }

  static Conversation conversation(String id, String response, Part... parts) {
    return Conversation.builder(id)
        .model("acme/chat-1")
        .occurredAt(Instant.ofEpochMilli(1_700_000_000_000L))
        .messages(List.of(Message.of(Message.RAW, List.of(parts))))
        .response(response)
        .conversationId("conversation-1")
        .subjectId("subject-1")
        .attributes(Map.of("app", "support"))
        .build();
  }
}
