package dev.whence.runtime.dlq;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.embedded.EmbeddedBroker;
import dev.whence.embedded.EmbeddedRegistry;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.topics.TopicAdmin;
import dev.whence.runtime.topics.TopicState;
import dev.whence.runtime.worker.EventHeader;
import dev.whence.runtime.worker.Failure;
import dev.whence.runtime.worker.SourceRecord;
import dev.whence.schemas.Topics;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/** The two tools that people use by hand: topics and dead letters. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class DlqToolIT {
  private EmbeddedBroker broker;
  private EmbeddedRegistry registry;
  private Clients clients;
  private final Topics topics = new Topics("whence.");

  @BeforeAll
  void open(@TempDir Path directory) throws Exception {
    broker = EmbeddedBroker.open(directory.resolve("broker"));
    registry = EmbeddedRegistry.open(directory.resolve("registry"));
    clients = new Clients(Connection.of(broker.bootstrapServers(), registry.url()));
  }

  @AfterAll
  void close() throws Exception {
    broker.close();
    registry.close();
  }

  @Test
  void topicsAreCreatedComparedRaisedAndNeverShrunk() throws Exception {
    TopicAdmin admin = new TopicAdmin(clients, new Topics("made.").all());
    assertThat(admin.report()).extracting(TopicState::kind).containsOnly(TopicState.Kind.MISSING);
    assertThat(admin.create()).extracting(TopicState::kind).containsOnly(TopicState.Kind.CREATED);
    assertThat(admin.report()).extracting(TopicState::kind).containsOnly(TopicState.Kind.AS_WANTED);
    alter("made.responses", "max.message.bytes", "1000000");
    alter("made.attributions", "max.message.bytes", "99000000");
    assertThat(admin.report())
        .filteredOn(state -> state.kind() == TopicState.Kind.DRIFT)
        .extracting(TopicState::name)
        .containsExactly("made.responses", "made.attributions");
    assertThat(admin.create())
        .filteredOn(state -> state.kind() != TopicState.Kind.AS_WANTED)
        .extracting(state -> state.name() + " " + state.kind())
        .containsExactly("made.responses RAISED", "made.attributions DRIFT");
  }

  @Test
  void deadLettersAreShownWithoutContentAndReplayedOnce() throws Exception {
    TopicAdmin admin = new TopicAdmin(clients, topics.all());
    admin.create();
    String queue = topics.deadLettersOf(topics.responses()).name();
    try (KafkaProducer<byte[], byte[]> producer =
        new KafkaProducer<>(
            Map.of("bootstrap.servers", broker.bootstrapServers()),
            new ByteArraySerializer(),
            new ByteArraySerializer())) {
      for (int i = 0; i < 6; i++) {
        SourceRecord source =
            new SourceRecord(
                topics.responses().name(),
                i % 2,
                100 + i,
                1,
                bytes("k" + i),
                bytes("secret" + i),
                List.of(EventHeader.of("traceparent", "trace" + i)));
        ProducerRecord<byte[], byte[]> dead =
            new ProducerRecord<>(queue, bytes("k" + i), bytes("secret" + i));
        DeadLetterHeaders.of(source, new Failure(i < 4 ? "A" : "B", "why"), 1, "stage")
            .forEach(header -> dead.headers().add(header.name(), header.value()));
        producer.send(dead).get();
      }
    }
    DlqTool tool = new DlqTool(clients, queue);
    List<DeadLetterEntry> shown = tool.show(DeadLetterFilter.ALL);
    assertThat(shown).hasSize(6);
    assertThat(shown.toString()).doesNotContain("secret");
    assertThat(shown.get(3).sourceOffset()).isEqualTo(103);
    assertThat(shown.get(3).valueBytes()).isEqualTo(7);
    assertThat(shown).noneMatch(DeadLetterEntry::replayed);

    assertThat(tool.replay(code("B"))).isEqualTo(new DlqTool.Replay(2, 0, 0));
    assertThat(tool.replay(code("B"))).isEqualTo(new DlqTool.Replay(0, 0, 2));
    assertThat(tool.show(DeadLetterFilter.ALL))
        .extracting(DeadLetterEntry::replayed)
        .containsExactly(false, false, false, false, true, true);
    assertThat(tool.replay(DeadLetterFilter.ALL)).isEqualTo(new DlqTool.Replay(4, 0, 2));
    assertThat(tool.replay(DeadLetterFilter.ALL)).isEqualTo(new DlqTool.Replay(0, 0, 6));

    List<ConsumerRecord<byte[], byte[]>> replayed = read(topics.responses().name());
    assertThat(replayed)
        .extracting(record -> text(record.key()) + text(record.value()))
        .containsExactlyInAnyOrder(
            "k0secret0", "k1secret1", "k2secret2", "k3secret3", "k4secret4", "k5secret5");
    assertThat(replayed)
        .allSatisfy(
            record -> {
              assertThat(record.headers().toArray()).hasSize(2);
              assertThat(record.headers().lastHeader("traceparent")).isNotNull();
              assertThat(record.headers().lastHeader(Replays.HEADER).value()).isEqualTo(bytes("1"));
            });
  }

  private static DeadLetterFilter code(String code) {
    return new DeadLetterFilter(
        Optional.of(code), OptionalInt.empty(), OptionalLong.empty(), OptionalLong.empty());
  }

  private void alter(String topic, String key, String value) throws Exception {
    try (Admin admin = clients.admin()) {
      admin
          .incrementalAlterConfigs(
              Map.of(
                  new ConfigResource(ConfigResource.Type.TOPIC, topic),
                  List.of(
                      new AlterConfigOp(new ConfigEntry(key, value), AlterConfigOp.OpType.SET))))
          .all()
          .get();
    }
  }

  private List<ConsumerRecord<byte[], byte[]>> read(String topic) {
    List<ConsumerRecord<byte[], byte[]>> all = new ArrayList<>();
    try (Consumer<byte[], byte[]> reader = clients.reader("test-reader")) {
      List<TopicPartition> partitions =
          reader.partitionsFor(topic).stream()
              .map(info -> new TopicPartition(topic, info.partition()))
              .toList();
      reader.assign(partitions);
      reader.seekToBeginning(partitions);
      Map<TopicPartition, Long> ends = reader.endOffsets(partitions);
      while (partitions.stream().anyMatch(p -> reader.position(p) < ends.get(p))) {
        reader.poll(Duration.ofMillis(100)).forEach(all::add);
      }
    }
    return all;
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static String text(byte[] bytes) {
    return new String(bytes, StandardCharsets.UTF_8);
  }
}
