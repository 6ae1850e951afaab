package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.conversation.Conversation;
import dev.whence.runtime.config.Settings;
import dev.whence.runtime.models.ReleaseTakeOver;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.EventWriter;
import dev.whence.runtime.worker.Outcome;
import dev.whence.runtime.worker.Result;
import dev.whence.runtime.worker.SourceRecord;
import dev.whence.runtime.worker.Work;
import dev.whence.schemas.LlmResponses;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluencePartial;
import dev.whence.schemas.avro.InfluentialDocument;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * Shards of a stage whose records the test itself hands to it, without topics between them; a
 * registry is all they need.
 */
final class DrivenShards {
  static final int PARTITIONS = 4;

  final InfluenceCluster cluster;
  private final Topics topics;
  private final Path data;
  private int offset;

  /**
   * On the cluster of this JVM.
   *
   * @param data where stages keep what is theirs
   */
  DrivenShards(Path data) throws IOException {
    this.data = data;
    cluster = InfluenceCluster.shared();
    topics = cluster.namedTopics();
  }

  /** A configuration of a model, with settings of the test: a key, its value, and so on. */
  InfluenceConfig config(Path model, String... more) throws Exception {
    Map<String, String> settings = new HashMap<>(cluster.settings(topics, data, Map.of()));
    settings.put("model", model.toString());
    settings.put(
        "models.roots",
        InfluenceCluster.chatModel().getParent() + "," + InfluenceCluster.baseModel().getParent());
    settings.put("query.top", "5");
    settings.put("query.rerank", "5");
    for (int i = 0; i < more.length; i += 2) {
      settings.put(more[i], more[i + 1]);
    }
    return InfluenceConfig.read(Settings.of(settings));
  }

  /** A configuration by which all documents of an index are ranked. */
  InfluenceConfig rankingAll(Path index) throws Exception {
    String all = Integer.toString(InfluenceCluster.DOCUMENTS);
    return config(
        InfluenceCluster.chatModel(),
        "indexes",
        index.toString(),
        "query.top",
        all,
        "query.rerank",
        all);
  }

  /** The records of a query about a response of a model, as shards' processes get them. */
  List<SourceRecord> asked(InfluenceConfig config, Conversation response) throws Exception {
    return asked(config, response, PARTITIONS);
  }

  List<SourceRecord> asked(InfluenceConfig config, Conversation response, int partitions)
      throws Exception {
    List<SourceRecord> records = new ArrayList<>();
    try (AvroValues values = new AvroValues(cluster.connection);
        QueryModel model = new QueryModel(config, new SimpleMeterRegistry())) {
      EventWriter writer = new EventWriter(values, QueryStage.REQUESTED, "test");
      model.openFirst(List.of());
      QueryModel.Query query = model.ask(response, Duration.ZERO).orElseThrow();
      Influence begun =
          new InfluenceEvents(writer, topics.influences().name(), config.query())
              .begun(
                  InfluenceEvents.about(response, InfluenceEvents.Asker.REQUESTED, ""),
                  "query of " + response.responseId(),
                  query);
      List<Result> results =
          new ResponseQueries(
                  writer,
                  topics.influenceQueries().name(),
                  topics.influencePartials().name(),
                  config.query(),
                  Optional.empty(),
                  config.inlineBytes(),
                  InstantSource.system())
              .of(query, LlmResponses.toAvro(response), begun, partitions);
      for (Result result : results) {
        if (result.topic().equals(topics.influenceQueries().name())) {
          records.add(
              new SourceRecord(
                  result.topic(), 0, offset++, 0, result.key(), result.value(), result.headers()));
        }
      }
    }
    assertThat(records).hasSize(partitions);
    return records;
  }

  /** Answers to records of one batch. */
  List<InfluencePartial> answers(List<SourceRecord> batch, List<Duration> predicted)
      throws Exception {
    return answers(batch, predicted, config(InfluenceCluster.chatModel()));
  }

  List<InfluencePartial> answers(
      List<SourceRecord> batch, List<Duration> predicted, InfluenceConfig config) throws Exception {
    return answers(batch, predicted, config, InstantSource.system());
  }

  List<InfluencePartial> answers(
      List<SourceRecord> batch,
      List<Duration> predicted,
      InfluenceConfig config,
      InstantSource clock)
      throws Exception {
    AvroValues values = new AvroValues(cluster.connection);
    ShardStage stage = stage(values, config, clock);
    try {
      stage.open();
      return answers(stage, values, batch, predicted);
    } finally {
      stage.close();
    }
  }

  ShardStage stage(AvroValues values, InfluenceConfig config, InstantSource clock) {
    return stage(values, config, clock, new SimpleMeterRegistry());
  }

  ShardStage stage(
      AvroValues values, InfluenceConfig config, InstantSource clock, MeterRegistry meters) {
    return stage(values, config, clock, meters, atOnceOr(new ArrayDeque<>()));
  }

  ShardStage stage(
      AvroValues values,
      InfluenceConfig config,
      InstantSource clock,
      MeterRegistry meters,
      ReleaseTakeOver.Later later) {
    return new ShardStage(
        values,
        new EventWriter(values, ShardStage.NAME, "test"),
        topics.influencePartials().name(),
        config,
        new InfluenceMetrics(meters),
        clock,
        "test",
        List::of,
        () -> PARTITIONS,
        later);
  }

  /** Runs what is to run at once, and leaves the rest to the test. */
  static ReleaseTakeOver.Later atOnceOr(Deque<Runnable> later) {
    return (pause, task) -> {
      if (pause.isZero()) {
        task.run();
      } else {
        later.add(task);
      }
    };
  }

  /** What a stage that is open answers to records of one batch. */
  static List<InfluencePartial> answers(
      ShardStage stage, AvroValues values, List<SourceRecord> batch, List<Duration> predicted) {
    stage.coming(batch);
    List<InfluencePartial> answers = new ArrayList<>();
    for (SourceRecord record : batch) {
      Work work = stage.prepare(record);
      predicted.add(work.predicted());
      answers.add(written(values, work.run()));
    }
    return answers;
  }

  static InfluencePartial written(AvroValues values, Outcome outcome) {
    assertThat(outcome).isInstanceOf(Outcome.Written.class);
    try {
      return values.read(
          ((Outcome.Written) outcome).results().get(0).value(),
          InfluencePartial.class,
          InfluencePartial.getClassSchema());
    } catch (dev.whence.runtime.serde.UnreadableException e) {
      throw new AssertionError(e);
    }
  }

  /** Exact influences on a response by document, of which there are some. */
  static Map<String, Double> influences(List<InfluencePartial> answers, String responseId) {
    Map<String, Double> influences = new TreeMap<>();
    for (InfluencePartial answer : answers) {
      if (answer.getQueryId().equals("query of " + responseId)) {
        assertThat(answer.getNote()).isEmpty();
        for (InfluentialDocument document : answer.getDocuments()) {
          assertThat(document.getExact()).isTrue();
          influences.put(document.getId(), document.getInfluence());
        }
      }
    }
    assertThat(influences).isNotEmpty();
    return influences;
  }

  /** How many documents were ranked by their gradients. */
  static int reranked(List<InfluencePartial> answers) {
    return answers.stream().mapToInt(InfluencePartial::getDocumentsReranked).sum();
  }

  /** Changes one bit. */
  static void flip(Path file, long at) throws Exception {
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      ByteBuffer one = ByteBuffer.allocate(1);
      channel.read(one, at);
      one.put(0, (byte) (one.get(0) ^ 1)).rewind();
      channel.write(one, at);
    }
  }

  /** Copies the files of a directory into another. */
  static Path copied(Path from, Path to) throws Exception {
    Files.createDirectories(to);
    try (Stream<Path> files = Files.list(from)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Files.copy(file, to.resolve(file.getFileName()));
      }
    }
    return to;
  }
}
