package dev.whence.runtime.dlq;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.embedded.EmbeddedBroker;
import dev.whence.embedded.EmbeddedRegistry;
import dev.whence.embedded.RawRecords;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.topics.TopicAdmin;
import dev.whence.runtime.topics.TopicState;
import dev.whence.runtime.worker.EventHeader;
import dev.whence.runtime.worker.Failure;
import dev.whence.runtime.worker.SourceRecord;
import dev.whence.schemas.Topic;
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
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
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
    alter("made.models", "cleanup.policy", "delete");
    assertThat(admin.create())
        .filteredOn(state -> state.kind() == TopicState.Kind.REFUSED)
        .extracting(TopicState::name)
        .containsExactly("made.models");
  }

  @Test
  void partitionsAreAddedButNotWhereAStreamsStateHangsOnTheirNumber() throws Exception {
    Topics own = new Topics("few.");
    TopicAdmin admin = new TopicAdmin(clients, own.all());
    try (Admin kafka = clients.admin()) {
      kafka
          .createTopics(
              List.of(few(own.responses()), few(own.influencePartials()), few(own.influences())))
          .all()
          .get();
      assertThat(admin.create())
          .filteredOn(state -> state.detail().startsWith("2 partitions"))
          .extracting(state -> state.name() + " " + state.kind())
          .containsExactly(
              "few.responses RAISED", "few.influence.partials DRIFT", "few.influences RAISED");
      assertThat(
              kafka
                  .describeTopics(List.of("few.responses", "few.influence.partials"))
                  .allTopicNames()
                  .get()
                  .values())
          .extracting(topic -> topic.name() + " " + topic.partitions().size())
          .containsExactlyInAnyOrder("few.responses 12", "few.influence.partials 2");
    }
  }

  @Test
  void aTopicThatTheClusterRefusesDoesNotKeepTheOthersAndTheSchemasFromBeingMade() {
    Topics own = new Topics("limit.");
    Topic responses = own.responses();
    Topic tooLarge =
        new Topic(
            "limit.refused",
            "key",
            Optional.empty(),
            1,
            false,
            Topic.Cleanup.DELETE,
            Optional.of(Duration.ofDays(1)),
            -1,
            Optional.empty());
    TopicAdmin admin = new TopicAdmin(clients, List.of(own.attributions(), tooLarge, responses));

    List<TopicState> states = admin.create();

    assertThat(states)
        .extracting(state -> state.name() + " " + state.kind())
        .containsExactly(
            "limit.attributions CREATED",
            "limit.refused REFUSED",
            "limit.responses CREATED",
            "limit.attributions-value CREATED",
            "limit.responses-value CREATED");
    assertThat(states.get(1).detail())
        .startsWith("not created: the cluster answered: InvalidConfigurationException: ");
  }

  private static NewTopic few(Topic topic) {
    return new NewTopic(topic.name(), Optional.of(2), Optional.empty()).configs(topic.config());
  }

  @Test
  void deadLettersAreShownWithoutContentAndReplayedOnce() throws Exception {
    TopicAdmin admin = new TopicAdmin(clients, topics.all());
    admin.create();
    String queue = topics.deadLettersOf(topics.responses()).name();
    try (Producer<byte[], byte[]> producer = producer()) {
      for (int i = 0; i < 6; i++) {
        producer.send(dead(topics, i, bytes("secret" + i))).get();
      }
    }
    DlqTool tool = new DlqTool(clients, queue);
    List<DeadLetterEntry> shown = tool.show(DeadLetterFilter.ALL);
    assertThat(shown).hasSize(6);
    assertThat(shown.toString()).doesNotContain("secret");
    assertThat(shown.get(3).sourceOffset()).isEqualTo(103);
    assertThat(shown.get(3).valueBytes()).isEqualTo(7);
    assertThat(shown).noneMatch(DeadLetterEntry::replayed);

    assertThat(tool.replay(code("B"))).isEqualTo(replay(2, 0, 0));
    assertThat(tool.replay(code("B"))).isEqualTo(replay(0, 0, 2));
    assertThat(tool.show(DeadLetterFilter.ALL))
        .extracting(DeadLetterEntry::replayed)
        .containsExactly(false, false, false, false, true, true);
    assertThat(tool.replay(DeadLetterFilter.ALL)).isEqualTo(replay(4, 0, 2));
    assertThat(tool.replay(DeadLetterFilter.ALL)).isEqualTo(replay(0, 0, 6));

    List<ConsumerRecord<byte[], byte[]>> replayed = read(topics.responses().name());
    assertThat(replayed)
        .extracting(record -> text(record.key()) + text(record.value()))
        .containsExactlyInAnyOrder(
            "k0secret0", "k1secret1", "k2secret2", "k3secret3", "k4secret4", "k5secret5");
    assertThat(replayed.stream().filter(record -> !text(record.key()).equals("k5")))
        .allSatisfy(
            record -> assertThat(record.partition()).isEqualTo(text(record.key()).charAt(1) % 2));
    assertThat(replayed)
        .allSatisfy(
            record -> {
              assertThat(record.headers().toArray()).hasSize(2);
              assertThat(record.headers().lastHeader("traceparent")).isNotNull();
              assertThat(record.headers().lastHeader(Replays.HEADER).value()).isEqualTo(bytes("1"));
            });
  }

  @Test
  void whatWasReplayedIsKnownWhenTheBrokersHaveForgottenEveryGroup() throws Exception {
    Topics own = created("forgotten.");
    try (Producer<byte[], byte[]> producer = producer()) {
      for (int i = 0; i < 3; i++) {
        producer.send(dead(own, i, bytes("v" + i))).get();
      }
    }
    DlqTool tool = new DlqTool(clients, own.deadLettersOf(own.responses()).name());
    assertThat(tool.replay(DeadLetterFilter.ALL)).isEqualTo(replay(3, 0, 0));
    // What offsets.retention.minutes does after seven days.
    try (Admin admin = clients.admin()) {
      List<String> groups =
          admin.listGroups().all().get().stream().map(GroupListing::groupId).toList();
      admin.deleteConsumerGroups(groups).all().get();
    }
    assertThat(tool.show(DeadLetterFilter.ALL)).hasSize(3).allMatch(DeadLetterEntry::replayed);
    assertThat(tool.replay(DeadLetterFilter.ALL)).isEqualTo(replay(0, 0, 3));
    assertThat(read(own.responses().name())).hasSize(3);
  }

  @Test
  void aReplayWaitsForWhatIsBeingWrittenToTheQueue() throws Exception {
    Topics own = created("open.");
    DlqTool tool = new DlqTool(clients, own.deadLettersOf(own.responses()).name());
    try (Producer<byte[], byte[]> worker = clients.transactionalProducer("some-worker")) {
      worker.initTransactions();
      worker.beginTransaction();
      worker.send(dead(own, 0, bytes("v"))).get();
      CompletableFuture<DlqTool.Replay> replay =
          CompletableFuture.supplyAsync(() -> tool.replay(DeadLetterFilter.ALL));
      assertThatThrownBy(() -> replay.get(2, TimeUnit.SECONDS))
          .isInstanceOf(TimeoutException.class);
      worker.commitTransaction();
      assertThat(replay.get(20, TimeUnit.SECONDS)).isEqualTo(replay(1, 0, 0));
    }
  }

  /** More than this process's memory, if they were read or written at once. */
  @Test
  void deadLettersThatCompressWellAreReplayedFewAtATime() throws Exception {
    Topics own = created("large.");
    byte[] value = new byte[50_000_000];
    int count = (int) (Runtime.getRuntime().maxMemory() / value.length) + 4;
    try (Producer<byte[], byte[]> producer = producer()) {
      for (int i = 0; i < count; i++) {
        producer.send(dead(own, i, value)).get();
      }
    }
    DlqTool tool = new DlqTool(clients, own.deadLettersOf(own.responses()).name());
    assertThat(tool.replay(DeadLetterFilter.ALL)).isEqualTo(replay(count, 0, 0));
  }

  @Test
  void aDeadLetterThatNoLongerFitsItsTopicStaysAndKeepsNoOtherFromBeingReplayed() throws Exception {
    Topics own = created("small.");
    byte[] large = new byte[40_000];
    new Random(7).nextBytes(large); // zstd makes nothing of it
    try (Producer<byte[], byte[]> producer = producer()) {
      for (int i = 0; i < 5; i++) {
        producer.send(dead(own, i, i == 1 || i == 3 ? large : bytes("v" + i))).get();
      }
    }
    alter(own.responses().name(), "max.message.bytes", "20000");
    DlqTool tool = new DlqTool(clients, own.deadLettersOf(own.responses()).name());
    DlqTool.Replay done = tool.replay(DeadLetterFilter.ALL);
    assertThat(done.replayed()).isEqualTo(3);
    assertThat(done.tooLarge())
        .extracting(DeadLetterEntry::sourceOffset)
        .containsExactly(101L, 103L);
    assertThat(tool.show(DeadLetterFilter.ALL))
        .extracting(DeadLetterEntry::replayed)
        .containsExactly(true, false, true, false, true);
    assertThat(tool.replay(DeadLetterFilter.ALL))
        .isEqualTo(new DlqTool.Replay(0, 0, 3, done.tooLarge(), Map.of()));

    alter(own.responses().name(), "max.message.bytes", "100000");
    assertThat(tool.replay(DeadLetterFilter.ALL)).isEqualTo(replay(2, 0, 3));
    assertThat(read(own.responses().name()))
        .extracting(record -> text(record.key()))
        .containsExactlyInAnyOrder("k0", "k1", "k2", "k3", "k4");
  }

  @Test
  void deadLettersOfTopicsThatAreGoneStayAndKeepNoOtherFromBeingReplayed() throws Exception {
    Topics there = created("there.");
    Topics gone = new Topics("gone.");
    String queue = there.deadLettersOf(there.responses()).name();
    try (Producer<byte[], byte[]> producer = producer()) {
      String lost = gone.responses().name();
      for (String from : List.of(lost, there.responses().name(), "no topic", lost)) {
        producer.send(dead(queue, from, 0, bytes("v"))).get();
      }
    }
    DlqTool tool = new DlqTool(clients, queue);
    DlqTool.Replay done = tool.replay(DeadLetterFilter.ALL);
    assertThat(done.replayed()).isEqualTo(1);
    assertThat(done.homeless()).isEqualTo(Map.of("gone.responses", 2L, "no topic", 1L));
    assertThat(done.complete()).isFalse();
    assertThat(tool.show(DeadLetterFilter.ALL))
        .extracting(DeadLetterEntry::replayed)
        .containsExactly(false, true, false, false);

    new TopicAdmin(clients, List.of(gone.responses())).create();
    DlqTool.Replay again = tool.replay(DeadLetterFilter.ALL);
    assertThat(again.replayed()).isEqualTo(2);
    assertThat(again.replayedBefore()).isEqualTo(1);
    assertThat(again.homeless()).isEqualTo(Map.of("no topic", 1L));
    assertThat(read(gone.responses().name())).hasSize(2);
  }

  @Test
  void aQueueThatIsNotThereIsOneSentenceAtOnce() {
    DlqTool tool = new DlqTool(clients, "whence.dlq.nowhere");
    assertThatThrownBy(() -> tool.show(DeadLetterFilter.ALL))
        .hasMessageContaining("there is no topic whence.dlq.nowhere");
    assertThatThrownBy(() -> tool.replay(DeadLetterFilter.ALL))
        .hasMessageContaining("there is no topic whence.dlq.nowhere");
  }

  private static DlqTool.Replay replay(long replayed, long omitted, long before) {
    return new DlqTool.Replay(replayed, omitted, before, List.of(), Map.of());
  }

  private Topics created(String prefix) {
    Topics own = new Topics(prefix);
    new TopicAdmin(clients, own.all()).create();
    return own;
  }

  private Producer<byte[], byte[]> producer() {
    return new RawRecords(broker.bootstrapServers()).producer();
  }

  /**
   * The i-th dead letter of a topic; the first four have code A, the others B, the sixth comes from
   * a partition that is not there.
   */
  private static ProducerRecord<byte[], byte[]> dead(Topics of, int i, byte[] value) {
    return dead(of.deadLettersOf(of.responses()).name(), of.responses().name(), i, value);
  }

  private static ProducerRecord<byte[], byte[]> dead(
      String queue, String topic, int i, byte[] value) {
    SourceRecord source =
        new SourceRecord(
            topic,
            i == 5 ? 1000 : i % 2,
            100 + i,
            1,
            bytes("k" + i),
            value,
            List.of(EventHeader.of("traceparent", "trace" + i)));
    ProducerRecord<byte[], byte[]> dead = new ProducerRecord<>(queue, bytes("k" + i), value);
    DeadLetterHeaders.of(source, new Failure(i < 4 ? "A" : "B", "why"), 1, "stage")
        .forEach(header -> dead.headers().add(header.name(), header.value()));
    return dead;
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
