package dev.whence.influence.corpus;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.whence.embedded.EmbeddedBroker;
import dev.whence.influence.InfluenceException;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.kafka.Clients;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A topic becomes a corpus file, on a real broker. */
class TopicCorpusIT {
  private static final TopicCorpus.Listener NOBODY = (done, all, documents) -> {};

  @TempDir private static Path brokerDirectory;
  @TempDir private Path directory;
  private static EmbeddedBroker broker;
  private static Clients clients;
  private String topic;
  private Path output;

  @BeforeAll
  static void open() throws Exception {
    broker = EmbeddedBroker.open(brokerDirectory);
    // One record at a time, so that a run can be cut off after each.
    clients =
        new Clients(
            Connection.of(broker.bootstrapServers(), "")
                .with(Map.of("max.poll.records", "1"), Map.of()));
  }

  @AfterAll
  static void close() throws Exception {
    broker.close();
  }

  @BeforeEach
  void newTopic() throws Exception {
    topic = "documents-" + UUID.randomUUID();
    output = directory.resolve("corpus.jsonl");
    create();
  }

  /** A broker says that a topic is made before it can describe it. */
  private void create() throws Exception {
    try (Admin admin = clients.admin()) {
      Uuid made =
          admin.createTopics(List.of(new NewTopic(topic, 2, (short) 1))).topicId(topic).get();
      await().atMost(Duration.ofSeconds(30)).until(() -> made.equals(described(admin)));
    }
  }

  private @Nullable Uuid described(Admin admin) throws Exception {
    try {
      return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).topicId();
    } catch (ExecutionException e) {
      if (e.getCause() instanceof UnknownTopicOrPartitionException) {
        return null;
      }
      throw e;
    }
  }

  private void write(int partition, @Nullable String key, byte @Nullable [] value) {
    write(partition, key, value, true);
  }

  private void write(
      int partition, @Nullable String key, byte @Nullable [] value, boolean committed) {
    try (Producer<byte[], byte[]> producer = clients.transactionalProducer("writer-" + topic)) {
      producer.initTransactions();
      producer.beginTransaction();
      var unused =
          producer.send(
              new ProducerRecord<>(
                  topic,
                  partition,
                  key == null ? null : key.getBytes(StandardCharsets.UTF_8),
                  value));
      producer.flush();
      if (committed) {
        producer.commitTransaction();
      } else {
        producer.abortTransaction();
      }
    }
  }

  private void text(int partition, String key, String text) {
    write(partition, key, bytes("{\"text\":\"" + text + "\"}"));
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private TopicCorpus.Collected collect(Path to) {
    return new TopicCorpus(clients, topic, to).collect(NOBODY);
  }

  @Test
  void committedDocumentsAreWrittenInOrderAndTheOthersAreNamed() throws Exception {
    text(1, "second", "two");
    text(0, "first", "one");
    write(0, null, bytes("{\n  \"text\" : \"lines\\nof it\",\n  \"lossWeight\" : 0.10\n}\n"));
    write(0, "own", bytes("{\"id\":\"mine\",\"text\":\"three\"}"));
    write(0, "gone", bytes("{\"text\":\"never\"}"), false);
    write(0, "removed", null);
    write(0, "list", bytes("[1]"));
    write(1, "broken", bytes("{\"text\":"));
    write(1, "two", bytes("{\"text\":\"a\"} {\"text\":\"b\"}"));
    write(1, "latin", new byte[] {'"', (byte) 0xe9, '"'});
    write(1, "deep", bytes("{\"text\":\"a\",\"y\":" + "[".repeat(100) + "]".repeat(100) + "}"));

    TopicCorpus.Collected collected = collect(output);

    // Every record is followed by its transaction's marker, which has an offset too.
    assertThat(Files.readAllLines(output))
        .containsExactly(
            "{\"text\":\"one\",\"id\":\"first\"}",
            "{\"text\":\"lines\\nof it\",\"lossWeight\":0.10,\"id\":\"" + topic + "-0@2\"}",
            "{\"id\":\"mine\",\"text\":\"three\"}",
            "{\"text\":\"two\",\"id\":\"second\"}");
    assertThat(collected)
        .isEqualTo(
            new TopicCorpus.Collected(4, 5, directory.resolve("corpus.jsonl.rejects.jsonl")));
    assertThat(Files.readAllLines(directory.resolve("corpus.jsonl.rejects.jsonl")))
        .containsExactly(
            "{\"partition\":0,\"offset\":10,\"problem\":\"the value is no JSON object\"}",
            "{\"partition\":1,\"offset\":2,\"problem\":\"the value is no JSON\"}",
            "{\"partition\":1,\"offset\":4,\"problem\":\"the value is no JSON\"}",
            "{\"partition\":1,\"offset\":6,\"problem\":\"the value is not UTF-8\"}",
            "{\"partition\":1,\"offset\":8,\"problem\":\"the value is too large to read as"
                + " JSON: at most 20,000,000 characters in a text, 100 levels of nesting, and"
                + " 1,000,000 names, values and brackets together\"}");
    try (var files = Files.list(directory)) {
      assertThat(files.map(file -> file.getFileName().toString()))
          .containsExactlyInAnyOrder(
              "corpus.jsonl", "corpus.jsonl.rejects.jsonl", "corpus.jsonl.lock");
    }
    assertThatThrownBy(() -> collect(output))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("is there already");
  }

  private static final class CutOff extends RuntimeException {
    private static final long serialVersionUID = 1L;
  }

  /** Ends a run, as a kill does, once so many offsets are done. */
  private void cutOff(long offsets, Duration saveEvery) {
    assertThatThrownBy(
            () ->
                new TopicCorpus(clients, topic, output, saveEvery)
                    .collect(
                        (done, all, documents) -> {
                          if (done >= offsets) {
                            throw new CutOff();
                          }
                        }))
        .isInstanceOf(CutOff.class);
  }

  @Test
  @Timeout(120)
  void aRunThatWasCutOffAnywhereGoesOnToTheSameFile() throws Exception {
    for (int i = 0; i < 4; i++) {
      text(i % 2, "k" + i, "text " + i);
      write(i % 2, "bad " + i, bytes("no"));
    }
    Path whole = directory.resolve("whole.jsonl");
    TopicCorpus.Collected expected = collect(whole);
    assertThat(expected.documents()).isEqualTo(4);
    assertThat(expected.rejected()).isEqualTo(4);
    cutOff(1, Duration.ofHours(1)); // nothing is saved but the plan
    assertThat(Files.exists(output)).isFalse();
    text(0, "later", "is not part of it");
    int cuts = 0;
    Optional<TopicCorpus.Collected> collected = Optional.empty();
    while (collected.isEmpty()) {
      collected = untilTheNextRecord();
      if (collected.isEmpty()) {
        cuts++;
        // What a killed run had written and not saved.
        append(directory.resolve("corpus.jsonl.unfinished"), "{\"te");
        append(directory.resolve("corpus.jsonl.rejects.jsonl"), "{\"pa");
      }
    }

    assertThat(cuts).as("at least one for each record").isGreaterThanOrEqualTo(8);
    assertThat(collected.get().documents()).isEqualTo(4);
    assertThat(collected.get().rejected()).isEqualTo(4);
    assertThat(output).hasSameBinaryContentAs(whole);
    assertThat(collected.get().rejects()).hasSameBinaryContentAs(expected.rejects());
  }

  private Optional<TopicCorpus.Collected> untilTheNextRecord() {
    try {
      return Optional.of(
          new TopicCorpus(clients, topic, output, Duration.ZERO)
              .collect(
                  (done, all, documents) -> {
                    throw new CutOff();
                  }));
    } catch (CutOff e) {
      return Optional.empty();
    }
  }

  private static void append(Path file, String text) throws IOException {
    if (Files.exists(file)) {
      Files.writeString(file, text, StandardOpenOption.APPEND);
    }
  }

  @Test
  void aRunThatWasKilledWithItsFileInPlaceIsDone() throws Exception {
    text(0, "a", "first");
    Path plan = directory.resolve("corpus.jsonl.plan");
    byte[][] last = new byte[1][];
    new TopicCorpus(clients, topic, output, Duration.ZERO)
        .collect((done, all, documents) -> last[0] = read(plan));
    Files.write(plan, last[0]);
    assertThat(collect(output).documents()).isEqualTo(1);
    assertThat(plan).doesNotExist();
  }

  private static byte[] read(Path file) {
    try {
      return Files.readAllBytes(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void whileOneCollectsAnotherIsRefused() throws Exception {
    text(0, "a", "first");
    new TopicCorpus(clients, topic, output)
        .collect(
            (done, all, documents) ->
                assertThatThrownBy(() -> collect(output))
                    .isInstanceOf(InfluenceException.class)
                    .hasMessageContaining("being written by another collection"));
    assertThat(Files.readAllLines(output)).hasSize(1);
  }

  @Test
  void anOpenTransactionIsTheEnd() throws Exception {
    text(0, "a", "first");
    try (Producer<byte[], byte[]> producer = clients.transactionalProducer("open-" + topic)) {
      producer.initTransactions();
      producer.beginTransaction();
      var unused =
          producer.send(new ProducerRecord<>(topic, 0, bytes("b"), bytes("{\"text\":\"open\"}")));
      producer.flush();
      assertThat(collect(output).documents()).isEqualTo(1);
      producer.abortTransaction();
    }
  }

  @Test
  void anEmptyTopicGivesAnEmptyFile() throws Exception {
    assertThat(collect(output).documents()).isZero();
    assertThat(output).isEmptyFile();
  }

  @Test
  void whatCanNotBeWrittenIsSaidBeforeAnythingIsRead() {
    assertThatThrownBy(() -> collect(directory.resolve("corpus.jsonl.gz")))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("Leave .gz out");
    assertThatThrownBy(() -> collect(directory.resolve("no/corpus.jsonl")))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("is not there. Make it");
    Clients nowhere = new Clients(Connection.of("127.0.0.1:nothing", ""));
    assertThatThrownBy(() -> new TopicCorpus(nowhere, topic, output).collect(NOBODY))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("could not be read")
        .hasMessageContaining("127.0.0.1:nothing");
  }

  @Test
  void recordsThatAreGoneBeforeTheyWereReadAreAnError() throws Exception {
    text(0, "a", "first");
    text(1, "b", "second");
    cutOff(1, Duration.ZERO);
    try (Admin admin = clients.admin()) {
      admin
          .deleteRecords(Map.of(new TopicPartition(topic, 1), RecordsToDelete.beforeOffset(2)))
          .all()
          .get();
    }

    assertThatThrownBy(() -> collect(output))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining(topic + "-1 from offset 0 on are gone");
    Files.delete(directory.resolve("corpus.jsonl.plan"));
    assertThat(collect(output).documents()).isEqualTo(1);
  }

  @Test
  void anotherTopicOfTheSameNameIsNotGoneOnWith() throws Exception {
    text(0, "a", "first");
    cutOff(1, Duration.ZERO);
    try (Admin admin = clients.admin()) {
      admin.deleteTopics(List.of(topic)).all().get();
    }
    create();

    assertThatThrownBy(() -> collect(output))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("Give another --output");
  }

  @Test
  void aTopicThatIsNotThereIsNotMade() throws Exception {
    topic = "nowhere-" + UUID.randomUUID();
    assertThatThrownBy(() -> collect(output))
        .isInstanceOf(InfluenceException.class)
        .hasMessage("There is no topic " + topic + " on these brokers.");
    try (Admin admin = clients.admin()) {
      assertThat(admin.listTopics().names().get()).doesNotContain(topic);
    }
    assertThat(directory.resolve("corpus.jsonl.unfinished")).doesNotExist();
  }

  @Test
  void filesThatDoNotBelongTogetherAreAnError() throws Exception {
    text(0, "a", "first");
    cutOff(1, Duration.ZERO);
    Files.writeString(directory.resolve("corpus.jsonl.unfinished"), "");
    assertThatThrownBy(() -> collect(output))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("is shorter than");
    Files.writeString(directory.resolve("corpus.jsonl.plan"), "{}");
    assertThatThrownBy(() -> collect(output))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("is no plan of a corpus");
  }
}
