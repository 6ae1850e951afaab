package dev.whence.transfer.stage;

import static org.awaitility.Awaitility.await;

import dev.whence.embedded.EmbeddedBroker;
import dev.whence.embedded.EmbeddedRegistry;
import dev.whence.embedded.RawRecords;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.config.Settings;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.runtime.topics.TopicAdmin;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.ModelKind;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.ModelRole;
import dev.whence.schemas.avro.TransferEvent;
import dev.whence.schemas.avro.TransferModel;
import dev.whence.schemas.avro.TransferState;
import dev.whence.transfer.merge.ModelFolder;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;

/** A broker, a registry, topics of its own, and three models for one test. */
final class TransferCluster implements AutoCloseable {
  private static final String WEIGHT = "model.layers.0.a";

  final Topics topics;
  final Path directory;
  private final EmbeddedBroker broker;
  private final EmbeddedRegistry registry;
  private final Connection connection;
  private final AvroValues values;
  private final Set<Long> unreadable = ConcurrentHashMap.newKeySet();

  TransferCluster(Path directory) throws IOException {
    this.directory = directory;
    broker = EmbeddedBroker.open(directory.resolve("broker"));
    registry = EmbeddedRegistry.open(directory.resolve("registry"));
    connection = Connection.of(broker.bootstrapServers(), registry.url());
    topics = new Topics("t" + UUID.randomUUID().toString().substring(0, 8) + ".");
    new TopicAdmin(new Clients(connection), topics.all()).create();
    values = new AvroValues(connection);
    Files.writeString(directory.resolve("task.jsonl"), "{}\n");
    Files.writeString(directory.resolve("general.jsonl"), "{}\n");
    // Losses by name: what carries the fine-tuning has 1, what does not has 2, and bad models 9.
    Files.writeString(
        directory.resolve("judge.sh"),
        """
        case "$1" in
          *models/bad*|*.bad*) echo 9;;
          *models/base*|*models/target*) echo 2;;
          *) echo 1;;
        esac
        """);
    Files.writeString(directory.resolve("task.jsonl"), "{}\n");
    Files.writeString(directory.resolve("general.jsonl"), "{}\n");
    model("base", 1);
    model("fine-tuned", 1.5f);
    model("target", 4);
  }

  Path models() {
    return directory.resolve("models");
  }

  /** A model, announced as a base after base and fine-tuned. */
  void newBase(String name) throws IOException {
    model(name, 8);
    release("base", ModelKind.BASE);
    release("fine-tuned", ModelKind.FINE_TUNED);
    release(name, ModelKind.BASE);
  }

  TransferModel model(String name, float value) throws IOException {
    float[] many = new float[200_000];
    java.util.Arrays.fill(many, value);
    new ModelFolder().add(ModelFolder.f32(WEIGHT, many)).write(models().resolve(name));
    return model(name);
  }

  static TransferModel model(String name) {
    return TransferModel.newBuilder().setModelId(name).setLocation(name).setDigest("").build();
  }

  Map<String, String> settings(Map<String, String> more) {
    Map<String, String> settings = new HashMap<>();
    String prefix = topics.models().name().replaceAll("models$", "");
    settings.put("kafka.bootstrap.servers", broker.bootstrapServers());
    settings.put("registry.url", registry.url());
    settings.put("topics.prefix", prefix);
    settings.put("group", prefix + "transfer");
    settings.put("instance.id", "test-0");
    settings.put("http.port", "-1");
    settings.put("data.dir", directory.resolve("data").toString());
    settings.put("models.roots", models().toString());
    settings.put("output.root", directory.resolve("published").toString());
    settings.put("gates.task-set", directory.resolve("task.jsonl").toString());
    settings.put("gates.general-set", directory.resolve("general.jsonl").toString());
    settings.put("gates.judge", "sh," + directory.resolve("judge.sh"));
    settings.put("progress.interval", "10ms");
    settings.putAll(more);
    return settings;
  }

  TransferProcessor start(Map<String, String> more) {
    return TransferProcessor.start(TransferConfig.read(Settings.of(settings(more))), Map.of());
  }

  TransferEvent request(String modelId, String target, Map<String, String> policies) {
    return TransferRequests.request(
        model("base"),
        model("fine-tuned"),
        model(target),
        modelId,
        List.of(ModelRole.FAST),
        List.of("acme/chat"),
        1,
        List.of(),
        policies,
        "test");
  }

  void send(TransferEvent event) {
    send(topics.transfers().name(), event.getTransferId(), event);
  }

  void release(String name, ModelKind kind) {
    send(
        topics.models().name(),
        name,
        ModelRelease.newBuilder()
            .setModelId(name)
            .setKind(kind)
            .setLocation(name)
            .setPublishedAt(java.time.Instant.now())
            .build());
  }

  private void send(String topic, String key, SpecificRecord value) {
    raw()
        .send(
            List.of(
                new ProducerRecord<>(
                    topic, key.getBytes(StandardCharsets.UTF_8), values.write(topic, value))));
  }

  /**
   * A record of any bytes.
   *
   * @return its place, topic-partition-offset
   */
  String sendRaw(String key, byte[] value) throws Exception {
    String topic = topics.transfers().name();
    try (Producer<byte[], byte[]> producer = raw().producer()) {
      long offset =
          producer
              .send(new ProducerRecord<>(topic, key.getBytes(StandardCharsets.UTF_8), value))
              .get()
              .offset();
      unreadable.add(offset);
      return topic + "-0-" + offset;
    }
  }

  /** Records of zeros under one key: each a few hundred bytes on the disk. */
  void sendZeros(int records, int bytes) {
    ProducerRecord<byte[], byte[]> zeros =
        new ProducerRecord<>(topics.transfers().name(), new byte[] {1}, new byte[bytes]);
    raw().send(Collections.nCopies(records, zeros));
  }

  byte[] bytes(TransferEvent event) {
    return values.write(topics.transfers().name(), event);
  }

  List<ConsumerRecord<byte[], byte[]>> deadLetters() throws Exception {
    return raw().committed(topics.deadLettersOf(topics.transfers()).name());
  }

  private RawRecords raw() {
    return new RawRecords(broker.bootstrapServers());
  }

  /** Everything committed about transfers, in order. */
  List<TransferEvent> transfers() throws Exception {
    List<TransferEvent> events = new ArrayList<>();
    for (ConsumerRecord<byte[], byte[]> record : raw().committed(topics.transfers().name())) {
      try {
        events.add(
            values.read(record.value(), TransferEvent.class, TransferEvent.getClassSchema()));
      } catch (UnreadableException e) {
        if (!unreadable.contains(record.offset())) {
          throw e; // nobody but sendRaw may write what is no event
        }
      }
    }
    return events;
  }

  Rollback.Withdrawn rollback(String modelId) {
    return Rollback.withdraw(new Clients(connection), topics, modelId);
  }

  /** A tombstone for a release, by somebody who knows nothing of transfers. */
  void withdraw(String modelId) {
    raw()
        .send(
            List.of(
                new ProducerRecord<>(
                    topics.models().name(), modelId.getBytes(StandardCharsets.UTF_8), null)));
  }

  /** Number of records about models, tombstones too. */
  long modelRecords() throws Exception {
    return raw().committed(topics.models().name()).size();
  }

  /** Where a transfer's model goes. */
  Path publishedAs(TransferEvent event) {
    return directory
        .resolve("published")
        .resolve(TransferRequests.digits(event.getTransferId()))
        .resolve(event.getModelId());
  }

  /** Where a transfer's page is. */
  Path report(TransferEvent event) {
    return directory.resolve("data/reports").resolve(event.getTransferId() + ".html");
  }

  /** Releases that were not withdrawn. */
  List<ModelRelease> releases() throws Exception {
    List<ModelRelease> releases = new ArrayList<>();
    for (ConsumerRecord<byte[], byte[]> record : raw().committed(topics.models().name())) {
      if (record.value() == null) {
        String withdrawn = new String(record.key(), StandardCharsets.UTF_8);
        releases.removeIf(release -> release.getModelId().equals(withdrawn));
        continue;
      }
      releases.add(values.read(record.value(), ModelRelease.class, ModelRelease.getClassSchema()));
    }
    return releases;
  }

  @Override
  public void close() throws IOException {
    values.close();
    broker.close();
    registry.close();
  }

  List<TransferState> states(String transferId) throws Exception {
    return transfers().stream()
        .filter(event -> event.getTransferId().equals(transferId))
        .map(TransferEvent::getState)
        .toList();
  }

  TransferEvent awaitEnd(String transferId) {
    await()
        .atMost(Duration.ofSeconds(60))
        .pollInterval(Duration.ofMillis(300))
        .until(() -> states(transferId).stream().anyMatch(TransferStates::isTerminal));
    try {
      return transfers().stream()
          .filter(event -> event.getTransferId().equals(transferId))
          .filter(event -> TransferStates.isTerminal(event.getState()))
          .findFirst()
          .orElseThrow();
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }

  ModelRelease releaseOf(String modelId) throws Exception {
    return releases().stream()
        .filter(one -> one.getModelId().equals(modelId))
        .findFirst()
        .orElseThrow();
  }
}
