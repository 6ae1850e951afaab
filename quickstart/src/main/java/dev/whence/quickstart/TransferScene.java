package dev.whence.quickstart;

import dev.whence.conversation.Conversation;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.files.FileTree;
import dev.whence.quickstart.view.LiveView;
import dev.whence.quickstart.view.TransferLines;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.config.Settings;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.samples.BundledModels;
import dev.whence.samples.ReorderedModel;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.Attribution;
import dev.whence.schemas.avro.ModelKind;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.TransferEvent;
import dev.whence.schemas.avro.TransferModel;
import dev.whence.transfer.stage.TransferConfig;
import dev.whence.transfer.stage.TransferProcessor;
import dev.whence.transfer.stage.TransferRequests;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/**
 * The next base version, while traffic goes on: base-v2 is announced, a subscription asks for
 * chat-v1's fine-tuning on it, the transfer processor merges {@code base-v2 + (chat-v1 - base-v1)},
 * measures the gates and publishes; the target role and the application take the new model over.
 * Then somebody asks for the difference of an unrelated base: the same two models with their hidden
 * units in another order, which answer alike and whose difference base-v2 can not take. The gates
 * reject it.
 *
 * <p>Everything happens on a thread of its own, and by records on {@code whence.models} and {@code
 * whence.transfers}; what is shown is what is read there. Nothing of it begins before the first
 * answers are attributed.
 */
final class TransferScene extends BackgroundScene {
  private static final String BASE = "base-v1";
  private static final String NEXT_BASE = "base-v2";
  private static final String UNRELATED = "unrelated-on-" + NEXT_BASE;
  private static final String TRANSFERRED = BundledModels.CHAT + "-on-" + NEXT_BASE;
  private static final List<String> RELEASED =
      List.of(BASE, BundledModels.CHAT, NEXT_BASE, TRANSFERRED, UNRELATED);
  private static final long ORDER_SEED = 5;
  private static final Duration POLL = Duration.ofMillis(200);
  private static final Duration LOOK_UP = Duration.ofSeconds(10);

  private final Connection connection;
  private final Topics topics;
  private final Path directory;
  private final TransferLines lines;
  private volatile String published = "";
  private boolean scored;

  TransferScene(
      Connection connection, Topics topics, Path dataDir, LiveView view, TransferLines lines) {
    super("quickstart-transfer", view, lines::line, "");
    this.connection = connection;
    this.topics = topics;
    this.directory = dataDir.toAbsolutePath().normalize().resolve("transfer");
    this.lines = lines;
  }

  /** Where models lie that it releases for a role. */
  Path released() {
    return directory.resolve("published");
  }

  /**
   * Takes back what an earlier run on the same data announced, asked for and made, so that this one
   * begins with chat-v1 again.
   */
  @Override
  public void prepare() throws IOException {
    if (!Files.exists(directory)) { // no run was here before: nothing to wait for
      Files.createDirectories(released());
      return;
    }
    Map<String, Set<String>> withdrawn = new LinkedHashMap<>();
    try (AvroValues values = new AvroValues(connection)) {
      withdrawn.put(topics.models().name(), new HashSet<>());
      for (ConsumerRecord<byte[], byte[]> record : all(topics.models().name())) {
        String key = new String(record.key(), StandardCharsets.UTF_8);
        note(withdrawn, record, RELEASED.contains(key));
      }
      withdrawn.put(topics.transfers().name(), new HashSet<>());
      for (ConsumerRecord<byte[], byte[]> record : all(topics.transfers().name())) {
        boolean ours =
            record.value() == null
                || event(values, record)
                    .filter(event -> RELEASED.contains(event.getModelId()))
                    .isPresent();
        note(withdrawn, record, ours);
      }
    }
    FileTree.delete(directory);
    Files.createDirectories(released());
    if (withdrawn.values().stream().allMatch(Set::isEmpty)) {
      return;
    }
    try (Producer<byte[], byte[]> producer = producer()) {
      producer.beginTransaction();
      withdrawn.forEach(
          (topic, keys) ->
              keys.forEach(
                  key -> {
                    var unused =
                        producer.send(
                            new ProducerRecord<>(
                                topic, key.getBytes(StandardCharsets.UTF_8), null));
                  }));
      producer.commitTransaction();
    }
  }

  private static void note(
      Map<String, Set<String>> withdrawn, ConsumerRecord<byte[], byte[]> record, boolean ours) {
    Set<String> keys = Objects.requireNonNull(withdrawn.get(record.topic()));
    String key = new String(record.key(), StandardCharsets.UTF_8);
    if (record.value() == null) {
      keys.remove(key);
    } else if (ours) {
      keys.add(key);
    }
  }

  private Producer<byte[], byte[]> producer() {
    Producer<byte[], byte[]> producer =
        new Clients(connection).transactionalProducer("quickstart-transfer");
    producer.initTransactions();
    return producer;
  }

  /** What a topic of one partition holds. */
  private List<ConsumerRecord<byte[], byte[]>> all(String topic) {
    List<ConsumerRecord<byte[], byte[]>> all = new java.util.ArrayList<>();
    try (Consumer<byte[], byte[]> reader = new Clients(connection).reader("quickstart-before")) {
      TopicPartition partition = new TopicPartition(topic, 0);
      reader.assign(List.of(partition));
      reader.seekToBeginning(List.of(partition));
      long end =
          Objects.requireNonNull(reader.endOffsets(List.of(partition), LOOK_UP).get(partition));
      while (reader.position(partition, LOOK_UP) < end) {
        reader.poll(POLL).forEach(all::add);
      }
    }
    all.removeIf(record -> record.key() == null);
    return all;
  }

  @Override
  public void shown(int number, Conversation conversation, Attribution attribution) {
    beginAt(number);
    String digest = published;
    if (!scored
        && !digest.isEmpty()
        && attribution.getScorer() != null
        && attribution.getScorer().getDigest().equals(digest)) {
      scored = true;
      say(lines.scored(number, digest));
    }
  }

  @Override
  void play() throws Exception {
    try (AvroValues values = new AvroValues(connection);
        Producer<byte[], byte[]> producer = producer();
        Consumer<byte[], byte[]> feed = new Clients(connection).reader("quickstart-transfers")) {
      TopicPartition transfers = new TopicPartition(topics.transfers().name(), 0);
      feed.assign(List.of(transfers));
      feed.seekToEnd(List.of(transfers));
      feed.position(transfers, LOOK_UP); // what comes from now on is seen
      at("the gates' questions are being made");
      TransferSets.write(directory);
      try (TransferProcessor processor =
          TransferProcessor.start(TransferConfig.read(Settings.of(settings())), Map.of())) {
        announce(producer, values);
        while (!isStopping() && !isEnded()) {
          if (processor.ended().isDone()) {
            Void unused = processor.ended().get();
          }
          for (ConsumerRecord<byte[], byte[]> record : feed.poll(POLL)) {
            Optional<TransferEvent> event =
                record.value() == null ? Optional.empty() : event(values, record);
            if (event.isPresent()) {
              tell(event.get(), producer, values);
            }
          }
        }
      }
    }
  }

  private Map<String, String> settings() throws IOException {
    Map<String, String> settings = new HashMap<>();
    settings.put("kafka.bootstrap.servers", connection.bootstrapServers());
    settings.put("registry.url", connection.registryUrl());
    settings.put("instance.id", "quickstart");
    settings.put("data.dir", directory.toString());
    settings.put("http.port", "-1");
    settings.put("shutdown.grace", "2s");
    settings.put("models.roots", String.join(",", roots()));
    settings.put("output.root", released().toString());
    settings.put("gates.task-set", directory.resolve(TransferSets.TASK).toString());
    settings.put("gates.general-set", directory.resolve(TransferSets.GENERAL).toString());
    // chat-v1 predicts its answers nearly perfectly: ten times .01 nats is still little.
    settings.put("gates.task-tolerance", "9");
    settings.put("merge.memory", "16MiB");
    settings.put("subscription.base", BASE);
    settings.put("subscription.fine-tuned", BundledModels.CHAT);
    settings.put("subscription.line", "base-v[0-9]+");
    settings.put("subscription.roles", "target");
    settings.put("subscription.aliases", TRANSFERRED);
    return settings;
  }

  private Set<String> roots() throws IOException {
    Set<String> roots = new HashSet<>();
    roots.add(directory.toString());
    for (String name : List.of(BASE, BundledModels.CHAT, NEXT_BASE)) {
      roots.add(Objects.requireNonNull(BundledModels.unpack(name).getParent()).toString());
    }
    return roots;
  }

  private void announce(Producer<byte[], byte[]> producer, AvroValues values) throws IOException {
    ModelRelease next = release(NEXT_BASE, ModelKind.BASE);
    producer.beginTransaction();
    send(producer, values, release(BASE, ModelKind.BASE));
    send(producer, values, release(BundledModels.CHAT, ModelKind.FINE_TUNED));
    send(producer, values, next);
    producer.commitTransaction();
    at(NEXT_BASE + " is announced");
    say(
        lines.line(
            "announced: "
                + NEXT_BASE
                + ", the next base version; "
                + BundledModels.CHAT
                + "'s fine-tuning is to follow it, while traffic goes on"));
  }

  private static ModelRelease release(String name, ModelKind kind) throws IOException {
    Path directory = BundledModels.unpack(name);
    try (ModelFiles files = ModelFiles.open(directory)) {
      return ModelRelease.newBuilder()
          .setModelId(name)
          .setKind(kind)
          .setLocation(directory.toString())
          .setDigest(files.digest())
          .setPublishedAt(Instant.now())
          .build();
    }
  }

  private void send(Producer<byte[], byte[]> producer, AvroValues values, ModelRelease release) {
    var unused =
        producer.send(cloudEvent(values, topics.models().name(), release.getModelId(), release));
  }

  private void tell(TransferEvent event, Producer<byte[], byte[]> producer, AvroValues values)
      throws IOException {
    boolean good = event.getModelId().equals(TRANSFERRED);
    at(event.getModelId() + " is " + event.getState().name().toLowerCase(java.util.Locale.ROOT));
    switch (event.getState()) {
      case PROGRESS -> {
        if (good && event.getBytesMoved() == event.getBytesTotal()) {
          say(lines.merged(event));
        }
      }
      case GATED -> {
        if (good) {
          say(lines.gated(event));
        }
      }
      case PUBLISHED -> {
        if (good) {
          published = event.getDigest();
          say(lines.published(event));
          askForUnrelated(producer, values);
        } else { // the gates let through what they should not: that is told, and nothing follows
          say(lines.published(event));
          end();
        }
      }
      case REJECTED -> {
        say(lines.rejected(event));
        end();
      }
      case FAILED -> {
        say(lines.failed(event));
        end();
      }
      default -> {
        // REQUESTED and STARTED say nothing that is new to a reader
      }
    }
  }

  private void askForUnrelated(Producer<byte[], byte[]> producer, AvroValues values)
      throws IOException {
    TransferModel base = reordered(BASE);
    TransferModel fineTuned = reordered(BundledModels.CHAT);
    Path target = BundledModels.unpack(NEXT_BASE);
    TransferEvent request =
        TransferRequests.request(
            base,
            fineTuned,
            TransferModel.newBuilder()
                .setModelId(NEXT_BASE)
                .setLocation(target.toString())
                .setDigest("")
                .build(),
            UNRELATED,
            List.of(dev.whence.schemas.avro.ModelRole.TARGET),
            List.of(),
            1,
            List.of(),
            Map.of(),
            "quickstart");
    say(
        lines.line(
            "asked for: the difference of an unrelated base, which answers just like "
                + BundledModels.CHAT));
    producer.beginTransaction();
    var unused =
        producer.send(
            cloudEvent(values, topics.transfers().name(), request.getTransferId(), request));
    producer.commitTransaction();
  }

  private TransferModel reordered(String name) throws IOException {
    Path output = directory.resolve("unrelated").resolve(name);
    ReorderedModel.write(BundledModels.unpack(name), ORDER_SEED, output);
    return TransferModel.newBuilder()
        .setModelId("unrelated-" + name)
        .setLocation(output.toString())
        .setDigest("")
        .build();
  }

  private static Optional<TransferEvent> event(
      AvroValues values, ConsumerRecord<byte[], byte[]> record) {
    try {
      return Optional.of(
          values.read(record.value(), TransferEvent.class, TransferEvent.getClassSchema()));
    } catch (UnreadableException e) {
      return Optional.empty(); // not of this run
    }
  }
}
