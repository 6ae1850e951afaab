package dev.whence.producer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.whence.embedded.EmbeddedBroker;
import dev.whence.embedded.EmbeddedRegistry;
import dev.whence.producer.DeliveryException.Reason;
import dev.whence.schemas.AvroSerdes;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.LlmResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** With a real broker and a registry that go away and come back. */
@Timeout(120)
class WhenceIT {
  private static final Duration PATIENCE = Duration.ofSeconds(60);
  private static final String TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

  @TempDir static Path directory;

  private static EmbeddedBroker broker;
  private static EmbeddedRegistry registry;

  @BeforeAll
  static void start() throws Exception {
    broker = EmbeddedBroker.open(directory.resolve("kafka"));
    registry = EmbeddedRegistry.open(directory.resolve("registry"));
  }

  @AfterAll
  static void stop() throws Exception {
    registry.close();
    broker.close();
  }

  @Test
  void aResponseArrivesAsItWasMadeWithItsKeyAndHeaders() throws Exception {
    Topics topics = topics("one.");
    LlmResponse response = response("r-1");
    try (Whence whence = builder(topics, "one.").instanceId("pod-1").build()) {
      Delivery delivery = whence.record(response).get();

      assertThat(delivery.topic()).isEqualTo("one.responses");
      assertThat(whence.counters()).isEqualTo(new Counters(1, 1, 0, 0, 0, 0));
    }

    ConsumerRecord<String, LlmResponse> record = read(topics, 1).get(0);
    assertThat(record.key()).isEqualTo("r-1");
    assertThat(record.value()).isEqualTo(response);
    Map<String, String> headers = new HashMap<>();
    record
        .headers()
        .forEach(
            header ->
                headers.put(header.key(), new String(header.value(), StandardCharsets.UTF_8)));
    assertThat(headers)
        .isEqualTo(
            Map.of(
                "content-type", "application/avro",
                "ce_specversion", "1.0",
                "ce_type", "dev.whence.LlmResponse.v1",
                "ce_source", "/whence/sdk/pod-1",
                "ce_id", "r-1/0",
                "traceparent", TRACE));
  }

  @Test
  void whatWasRecordedWhileNothingWasThereIsDeliveredOnceWhenItComesBack() throws Exception {
    Topics topics = topics("later.");
    int registryPort = registry.port();
    registry.close();
    broker.stop();
    try (Whence whence = builder(topics, "later.").build()) {
      List<CompletableFuture<Delivery>> deliveries =
          IntStream.range(0, 500).mapToObj(i -> whence.record(response("r-" + i))).toList();
      assertThat(whence.counters().queuedResponses()).isEqualTo(500);

      broker.start();
      registry = EmbeddedRegistry.open(directory.resolve("registry"), registryPort);

      await()
          .atMost(PATIENCE)
          .untilAsserted(() -> assertThat(whence.counters().delivered()).isEqualTo(500));
      assertThat(deliveries).allMatch(delivery -> !delivery.isCompletedExceptionally());
      assertThat(whence.counters().queuedBytes()).isZero();
    }

    assertThat(read(topics, 500).stream().map(ConsumerRecord::key))
        .containsExactlyInAnyOrderElementsOf(ids(500));
  }

  @Test
  void aBrokerThatRestartsInTheMiddleLosesAndDoublesNothing() throws Exception {
    Topics topics = topics("restart.");
    try (Whence whence = builder(topics, "restart.").build()) {
      for (int i = 0; i < 2_000; i++) {
        assertThat(whence.record(response("r-" + i))).isNotNull();
        if (i == 700) {
          broker.stop();
        }
        if (i == 1_400) {
          broker.start();
        }
      }
      assertThat(whence.close(PATIENCE)).isTrue();
      assertThat(whence.counters()).isEqualTo(new Counters(2_000, 2_000, 0, 0, 0, 0));
    }

    assertThat(read(topics, 2_000).stream().map(ConsumerRecord::key))
        .containsExactlyInAnyOrderElementsOf(ids(2_000));
  }

  @Test
  void aResponseLargerThanTheTopicsRecordsFailsAloneAndTheNextOnesPass() throws Exception {
    Topics topics = topics("large.");
    try (Whence whence = builder(topics, "large.").build()) {
      CompletableFuture<Delivery> large =
          whence.record(
              new LlmResponseBuilder()
                  .responseId("large")
                  .user("x".repeat(9 << 20))
                  .answer("", "stop")
                  .build());
      CompletableFuture<Delivery> small = whence.record(response("small"));

      assertThat(small.get().topic()).isEqualTo("large.responses");
      assertThat(reasonOf(large)).isEqualTo(Reason.TOO_LARGE);
    }
    assertThat(read(topics, 1)).hasSize(1);
  }

  @Test
  void aRecordThatAvroCannotWriteFailsAloneAndTheNextOnesPass() throws Exception {
    Topics topics = topics("invalid.");
    LlmResponse broken = response("broken");
    broken.put("finishReason", null);
    try (Whence whence = builder(topics, "invalid.").build()) {
      CompletableFuture<Delivery> first = whence.record(broken);

      assertThat(whence.record(response("fine")).get()).isNotNull();
      assertThat(reasonOf(first)).isEqualTo(Reason.INVALID);
    }
  }

  @Test
  void responsesWaitUntilTheirSchemaAndTopicAreThere() throws Exception {
    try (Whence whence =
        Whence.builder()
            .bootstrapServers(broker.bootstrapServers())
            .schemaRegistry(registry.url())
            .topicPrefix("unready.")
            .build()) {
      CompletableFuture<Delivery> delivery = whence.record(response("early"));
      Topics topics = topics("unready.");
      assertThat(delivery).isNotDone();

      try (Whence registering = builder(topics, "unready.").build()) {
        assertThat(registering.record(response("second")).get()).isNotNull();
      }

      await().atMost(PATIENCE).untilAsserted(() -> assertThat(delivery).isCompleted());
      assertThat(read(topics, 2)).hasSize(2);
    }
  }

  private static Topics topics(String prefix) throws Exception {
    Topics topics = new Topics(prefix);
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", broker.bootstrapServers()))) {
      NewTopic topic =
          new NewTopic(topics.responses().name(), 3, (short) 1)
              .configs(topics.responses().config());
      admin.createTopics(List.of(topic)).all().get();
    }
    return topics;
  }

  private static Whence.Builder builder(Topics topics, String prefix) {
    assertThat(topics.responses().name()).startsWith(prefix);
    return Whence.builder()
        .bootstrapServers(broker.bootstrapServers())
        .schemaRegistry(registry.url())
        .topicPrefix(prefix)
        .autoRegisterSchemas(true);
  }

  private static LlmResponse response(String id) {
    return new LlmResponseBuilder()
        .responseId(id)
        .document("doc", "title", "text of " + id)
        .user("q")
        .answer("a", "stop")
        .traceparent(TRACE)
        .build();
  }

  private static Set<String> ids(int count) {
    Set<String> ids = new HashSet<>();
    IntStream.range(0, count).forEach(i -> ids.add("r-" + i));
    return ids;
  }

  /** All records of the topic, at least so many. */
  private static List<ConsumerRecord<String, LlmResponse>> read(Topics topics, int atLeast) {
    Map<String, Object> configuration = AvroSerdes.deserializer(registry.url(), Map.of());
    configuration.put("bootstrap.servers", broker.bootstrapServers());
    configuration.put("auto.offset.reset", "earliest");
    configuration.put(
        "key.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
    configuration.put("value.deserializer", AvroSerdes.DESERIALIZER);
    try (KafkaConsumer<String, LlmResponse> consumer = new KafkaConsumer<>(configuration)) {
      String topic = topics.responses().name();
      List<TopicPartition> partitions =
          consumer.partitionsFor(topic).stream()
              .map(info -> new TopicPartition(topic, info.partition()))
              .toList();
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
      List<ConsumerRecord<String, LlmResponse>> records = new ArrayList<>();
      await()
          .atMost(PATIENCE)
          .until(
              () -> {
                consumer.poll(Duration.ofMillis(100)).forEach(records::add);
                return partitions.stream().allMatch(p -> consumer.position(p) >= ends.get(p));
              });
      assertThat(records).hasSizeGreaterThanOrEqualTo(atLeast);
      return records;
    }
  }

  private static Reason reasonOf(CompletableFuture<Delivery> delivery) {
    try {
      throw new AssertionError("delivered: " + delivery.join());
    } catch (CompletionException e) {
      return ((DeliveryException) e.getCause()).reason();
    }
  }
}
