package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.whence.conversation.Conversation;
import dev.whence.files.Sha256;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.TinyFactors;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.index.GradientIndex;
import dev.whence.influence.index.ShardFile;
import dev.whence.influence.lexical.LexicalShard;
import dev.whence.influence.model.Measure;
import dev.whence.runtime.config.Settings;
import dev.whence.runtime.models.ModelLoadException;
import dev.whence.runtime.models.ReleaseTakeOver;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.EventWriter;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.runtime.worker.Outcome;
import dev.whence.runtime.worker.Result;
import dev.whence.runtime.worker.SourceRecord;
import dev.whence.runtime.worker.Work;
import dev.whence.samples.Document;
import dev.whence.schemas.LlmResponses;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluencePartial;
import dev.whence.schemas.avro.InfluenceQuery;
import dev.whence.schemas.avro.InfluentialDocument;
import dev.whence.schemas.avro.ModelAncestor;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.ShardAnswer;
import dev.whence.schemas.avro.ShardStatus;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.assertj.core.data.Offset;
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Queries and shards without topics between them; a registry is all they need. */
class ShardStageIT {
  private static final int PARTITIONS = 4;

  @TempDir private Path data;

  private static InfluenceCluster cluster;
  private static Topics topics;
  private int offset;

  @BeforeAll
  static void open() throws Exception {
    cluster = InfluenceCluster.shared();
    topics = cluster.topics();
  }

  private InfluenceConfig config(Path model, String... more) throws Exception {
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

  /** The records of a query about a response of a model, as shards' processes get them. */
  private List<SourceRecord> asked(InfluenceConfig config, Conversation response) throws Exception {
    return asked(config, response, PARTITIONS);
  }

  private List<SourceRecord> asked(InfluenceConfig config, Conversation response, int partitions)
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
  private List<InfluencePartial> answers(List<SourceRecord> batch, List<Duration> predicted)
      throws Exception {
    return answers(batch, predicted, config(InfluenceCluster.chatModel()));
  }

  private List<InfluencePartial> answers(
      List<SourceRecord> batch, List<Duration> predicted, InfluenceConfig config) throws Exception {
    return answers(batch, predicted, config, InstantSource.system());
  }

  private List<InfluencePartial> answers(
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

  private ShardStage stage(AvroValues values, InfluenceConfig config, InstantSource clock) {
    return stage(values, config, clock, new SimpleMeterRegistry());
  }

  private ShardStage stage(
      AvroValues values, InfluenceConfig config, InstantSource clock, MeterRegistry meters) {
    return stage(values, config, clock, meters, atOnceOr(new ArrayDeque<>()));
  }

  /** Runs what is to run at once, and leaves the rest to the test. */
  private static ReleaseTakeOver.Later atOnceOr(Deque<Runnable> later) {
    return (pause, task) -> {
      if (pause.isZero()) {
        task.run();
      } else {
        later.add(task);
      }
    };
  }

  private ShardStage stage(
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

  private static List<InfluencePartial> answers(
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

  private static InfluencePartial written(AvroValues values, Outcome outcome) {
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

  private static Map<String, Double> influences(List<InfluencePartial> answers, String responseId) {
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

  @Test
  void queriesOfTwoModelsInABatchAreEachRankedWithTheirOwn() throws Exception {
    List<SourceRecord> chat =
        asked(config(InfluenceCluster.chatModel()), InfluenceCluster.answered("chat", 0));
    List<SourceRecord> base =
        asked(config(InfluenceCluster.baseModel()), InfluenceCluster.answered("base", 0));
    List<SourceRecord> batch = new ArrayList<>();
    for (int i = 0; i < PARTITIONS; i++) {
      batch.add(chat.get(i));
      batch.add(base.get(i));
    }
    List<InfluencePartial> together = answers(batch, new ArrayList<>());
    for (List<SourceRecord> one : List.of(chat, base)) {
      String responseId = one == chat ? "chat" : "base";
      Map<String, Double> alone = influences(answers(one, new ArrayList<>()), responseId);
      Map<String, Double> amongOthers = influences(together, responseId);
      assertThat(amongOthers).containsOnlyKeys(alone.keySet());
      double largest = alone.values().stream().mapToDouble(Math::abs).max().orElseThrow();
      alone.forEach(
          (id, influence) ->
              assertThat(amongOthers.get(id))
                  .as(id)
                  .isCloseTo(influence, Offset.offset(1e-6 * largest)));
    }
  }

  /** They have models, factors and corpus in common, so nothing is loaded between them. */
  @Test
  void queriesOfIndexesByTwoMeasuresAreEachRankedByTheMeasureOfTheirOwn() throws Exception {
    cluster.build(data.resolve("indexes/by-odds"), InfluenceCluster.SHARDS, Measure.LOG_ODDS);
    InfluenceConfig config =
        config(InfluenceCluster.chatModel(), "indexes", cluster.index() + "," + data + "/indexes");
    List<SourceRecord> byLikelihood =
        asked(
            config(InfluenceCluster.chatModel(), "indexes", cluster.index().toString()),
            InfluenceCluster.answered("likelihood", 0));
    List<SourceRecord> byOdds =
        asked(
            config(InfluenceCluster.chatModel(), "indexes", data + "/indexes"),
            InfluenceCluster.answered("odds", 0));
    List<SourceRecord> one = new ArrayList<>(byLikelihood);
    one.addAll(byOdds);
    List<InfluencePartial> together = answers(one, new ArrayList<>(), config);
    Map<String, Double> alone = influences(answers(byOdds, new ArrayList<>(), config), "odds");
    Map<String, Double> amongOthers = influences(together, "odds");
    assertThat(amongOthers).containsOnlyKeys(alone.keySet());
    double largest = alone.values().stream().mapToDouble(Math::abs).max().orElseThrow();
    alone.forEach(
        (id, influence) ->
            assertThat(amongOthers.get(id))
                .as(id)
                .isCloseTo(influence, Offset.offset(1e-6 * largest)));
    // of documents that both have, numbers are others
    Map<String, Double> likelihood = influences(together, "likelihood");
    likelihood.keySet().retainAll(alone.keySet());
    assertThat(likelihood).isNotEmpty();
    likelihood.forEach(
        (id, influence) ->
            assertThat(alone.get(id)).isNotCloseTo(influence, Offset.offset(1e-3 * largest)));
  }

  /** A configuration by which all documents of an index are ranked. */
  private InfluenceConfig rankingAll(Path index) throws Exception {
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

  /** As two workers do that see the same files under different names. */
  @Test
  void shardsThatWereBuiltUnderDifferentPathsAreRankedTogether() throws Exception {
    Path index = data.resolve("indexes/two-workers");
    Path elsewhere = Files.createSymbolicLink(data.resolve("elsewhere"), cluster.directory);
    InfluenceCluster.build(cluster.directory, index, 2, OptionalInt.of(1));
    InfluenceCluster.build(elsewhere, index, 2, OptionalInt.of(2));
    List<ShardFile> shards = GradientIndex.open(index).shards();
    assertThat(shards.get(0).settings().corpusPath())
        .isNotEqualTo(shards.get(1).settings().corpusPath());
    InfluenceConfig config = rankingAll(index);
    List<SourceRecord> records = asked(config, InfluenceCluster.answered("paths", 0), 2);
    assertThat(influences(answers(records, new ArrayList<>(), config), "paths"))
        .hasSize(InfluenceCluster.DOCUMENTS);
  }

  /** Reading a shard for its checksum is done when no query waits for it. */
  @Test
  void shardsOfTheIndexThatWillBeAskedAreOpenBeforeTheFirstQuery() throws Exception {
    Path index = data.resolve("indexes/opened");
    cluster.build(index, 1);
    InfluenceConfig config = config(InfluenceCluster.chatModel(), "indexes", index.toString());
    List<SourceRecord> records = asked(config, InfluenceCluster.answered("opened", 0), 1);
    AvroValues values = new AvroValues(cluster.connection);
    ShardStage stage = stage(values, config, InstantSource.system());
    try {
      stage.open();
      stage.assigned(Set.of(1));
      // Whoever reads all of it from here on finds a shard that is altered.
      Path shard = ShardFile.path(index, 1, 1);
      FileTime before = Files.getLastModifiedTime(shard);
      flip(shard, Files.size(shard) - 1);
      Files.setLastModifiedTime(shard, before);
      assertThat(answers(stage, values, records, new ArrayList<>()))
          .flatExtracting(InfluencePartial::getShards)
          .allMatch(answer -> answer.getStatus() == ShardStatus.SCANNED);
    } finally {
      stage.close();
    }
  }

  /** The scan does not read what documents are. */
  @Test
  void aShardWhoseEntriesCanNotBeReadIsMissingAndTheOthersAnswer() throws Exception {
    Path index = data.resolve("indexes/entries");
    cluster.build(index, 2);
    Path shard = ShardFile.path(index, 1, 2);
    byte[] bytes = Files.readAllBytes(shard);
    int end = bytes.length - 32; // of the entries; whoever made the file gave the checksum
    bytes[end - 1] = 0;
    byte[] sum = Sha256.begin().digest(Arrays.copyOf(bytes, end));
    System.arraycopy(sum, 0, bytes, end, 32);
    Files.write(shard, bytes);
    Files.delete(index.resolve("index.json"));
    InfluenceConfig config = rankingAll(index);
    List<SourceRecord> records = asked(config, InfluenceCluster.answered("entries", 0), 2);
    assertThat(answers(records, new ArrayList<>(), config))
        .flatExtracting(InfluencePartial::getShards)
        .extracting(answer -> answer.getShard() + " " + answer.getStatus())
        .contains("1 MISSING", "2 SCANNED");
  }

  /** Ranking takes seconds; the clock is asked when it begins, after the look at the shards. */
  @Test
  void aShardThatIsReplacedWhileCandidatesAreRankedAnswersAsAllOthers() throws Exception {
    Path index = data.resolve("indexes/replaced");
    cluster.build(index, 2);
    InfluenceConfig config = rankingAll(index);
    List<SourceRecord> records = asked(config, InfluenceCluster.answered("replaced", 0), 2);
    Path copy = Files.copy(ShardFile.path(index, 1, 2), data.resolve("copy"));
    AtomicReference<Runnable> next = new AtomicReference<>(() -> {});
    AvroValues values = new AvroValues(cluster.connection);
    ShardStage stage =
        stage(
            values,
            config,
            () -> {
              next.getAndSet(() -> {}).run();
              return Instant.now();
            });
    try {
      stage.open();
      stage.coming(records);
      List<InfluencePartial> answers = new ArrayList<>();
      for (SourceRecord record : records) {
        Work work = stage.prepare(record);
        assertThat(work.predicted()).isNotNull();
        if (answers.isEmpty()) { // the second record has the answer of the first
          next.set(() -> replace(copy, ShardFile.path(index, 1, 2)));
        }
        answers.add(written(values, work.run()));
      }
      assertThat(copy).as("was put into the shard's place").doesNotExist();
      assertThat(answers)
          .flatExtracting(InfluencePartial::getShards)
          .extracting(answer -> answer.getShard() + " " + answer.getStatus())
          .contains("1 SCANNED", "2 SCANNED");
      assertThat(influences(answers, "replaced")).hasSize(InfluenceCluster.DOCUMENTS);
    } finally {
      stage.close();
    }
  }

  private static void replace(Path file, Path target) {
    try {
      Files.move(file, target, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** A directory in a file's place can not be read, as a file on a disk that fails. */
  @Test
  void whileNobodyCanSayWhichIndexIsAskedQueriesFindTheirShardsAndItIsAskedAgain()
      throws Exception {
    Path indexes = data.resolve("indexes");
    cluster.build(indexes.resolve("readable"), 2);
    InfluenceConfig config =
        config(InfluenceCluster.chatModel(), "indexes", indexes.toString(), "query.rerank", "0");
    List<SourceRecord> records = asked(config, InfluenceCluster.answered("unread", 0), 2);
    Path unread = Files.createDirectories(indexes.resolve("unread/index.json"));
    SimpleMeterRegistry meters = new SimpleMeterRegistry();
    Deque<Runnable> again = new ArrayDeque<>();
    AvroValues values = new AvroValues(cluster.connection);
    ShardStage stage =
        stage(
            values,
            config,
            InstantSource.system(),
            meters,
            (pause, task) -> {
              if (pause.compareTo(ServedShards.UNUSED) < 0) {
                again.add(task);
              }
            });
    try {
      stage.open();
      stage.assigned(Set.of(0, 1, 2, 3));
      again.remove().run();
      assertThat(open(meters, "shards")).isZero();
      assertThat(answers(stage, values, List.of(records.get(0)), new ArrayList<>()))
          .flatExtracting(InfluencePartial::getShards)
          .extracting(ShardAnswer::getShard, ShardAnswer::getStatus)
          .containsExactly(tuple(2, ShardStatus.SCANNED));
      assertThat(open(meters, "shards")).isEqualTo(1);
      Files.delete(unread);
      Files.delete(unread.getParent());
      for (int i = 0; i < 20 && !again.isEmpty(); i++) {
        again.remove().run();
      }
      assertThat(open(meters, "shards")).isEqualTo(2);
    } finally {
      stage.close();
    }
  }

  /** Eight shards by four partitions: shards 1 and 5 are partition 1's, and so on. */
  @Test
  void shardsOfAssignedPartitionsAreOpenedThoseOfRevokedOnesClosedLaterAndOthersDoNotMatter()
      throws Exception {
    Path index = data.resolve("indexes/parts");
    cluster.build(index, InfluenceCluster.SHARDS);
    InfluenceConfig config =
        config(InfluenceCluster.chatModel(), "indexes", index.toString(), "query.deadline", "1h");
    List<SourceRecord> records = asked(config, InfluenceCluster.answered("parts", 0));
    Files.delete(ShardFile.path(index, 2, InfluenceCluster.SHARDS));
    SimpleMeterRegistry meters = new SimpleMeterRegistry();
    AvroValues values = new AvroValues(cluster.connection);
    AtomicReference<Instant> now = new AtomicReference<>(Instant.now());
    Deque<Runnable> later = new ArrayDeque<>();
    ShardStage stage = stage(values, config, now::get, meters, atOnceOr(later));
    try {
      stage.open();
      assertThat(open(meters, "shards")).isZero();
      stage.assigned(Set.of(1, 3));
      assertThat(open(meters, "shards")).isEqualTo(4);
      assertThat(answers(stage, values, List.of(records.get(1), records.get(3)), new ArrayList<>()))
          .flatExtracting(InfluencePartial::getShards)
          .allMatch(answer -> answer.getStatus() == ShardStatus.SCANNED)
          .extracting(ShardAnswer::getShard)
          .containsExactly(1, 5, 3, 7);
      now.set(now.get().plus(ServedShards.UNUSED.multipliedBy(2)));
      stage.assigned(Set.of(2, 3));
      assertThat(open(meters, "shards")).as("1 and 5 were ours until now").isEqualTo(5);
      assertThat(answers(stage, values, List.of(records.get(2)), new ArrayList<>()))
          .flatExtracting(InfluencePartial::getShards)
          .extracting(ShardAnswer::getShard, ShardAnswer::getStatus)
          .containsExactly(tuple(2, ShardStatus.MISSING), tuple(6, ShardStatus.SCANNED));
      now.set(now.get().plus(ServedShards.UNUSED).plusSeconds(1));
      later.remove().run();
      assertThat(open(meters, "shards")).isEqualTo(3);
      stage.assigned(Set.of());
      now.set(now.get().plus(ServedShards.UNUSED).plusSeconds(1));
      later.remove().run();
      assertThat(open(meters, "shards")).isZero();
    } finally {
      stage.close();
    }
  }

  /** One may take long, and the watchdog allows each task the same time. */
  @Test
  void eachShardIsOpenedInATaskOfItsOwnAndWhatIsNoLongerOursIsNot() throws Exception {
    Path index = data.resolve("indexes/each");
    cluster.build(index, InfluenceCluster.SHARDS);
    InfluenceConfig config =
        config(InfluenceCluster.chatModel(), "indexes", index.toString(), "query.rerank", "0");
    SimpleMeterRegistry meters = new SimpleMeterRegistry();
    Deque<Runnable> tasks = new ArrayDeque<>();
    ShardStage stage =
        stage(
            new AvroValues(cluster.connection),
            config,
            InstantSource.system(),
            meters,
            (pause, task) -> {
              if (pause.isZero()) {
                tasks.add(task);
              }
            });
    try {
      stage.open();
      stage.assigned(Set.of(0, 1, 2, 3));
      List<Integer> open = new ArrayList<>();
      for (int i = 0; i < 4; i++) {
        tasks.remove().run();
        open.add(open(meters, "shards"));
      }
      assertThat(open).containsExactly(0, 1, 2, 3); // the first task is that of open()
      stage.assigned(Set.of());
      while (!tasks.isEmpty()) {
        tasks.remove().run();
      }
      assertThat(open(meters, "shards")).isEqualTo(3);
    } finally {
      stage.close();
    }
  }

  private static int open(MeterRegistry meters, String what) {
    return (int) meters.get("whence.influence." + what + ".open").gauge().value();
  }

  @Test
  void shardsAndWordsOfAnIndexThatNobodyAsksAnyMoreAreClosedAndThoseOfTheExpectedOneStay()
      throws Exception {
    Path before = data.resolve("indexes/before");
    Path expected = data.resolve("indexes/expected");
    cluster.build(before, 2);
    cluster.build(expected, 3);
    CorpusFile corpus = new CorpusFile(cluster.directory.resolve("corpus.jsonl"));
    GradientIndex.open(before).shards().forEach(one -> LexicalShard.buildIfMissing(one, corpus));
    String both = before + "," + expected;
    InfluenceConfig config =
        config(InfluenceCluster.chatModel(), "indexes", both, "query.index", expected.toString());
    List<SourceRecord> records =
        asked(
            config(
                InfluenceCluster.chatModel(),
                "indexes",
                before.toString(),
                "query.preselect",
                "bm25:5"),
            InfluenceCluster.answered("before", 0),
            2);
    SimpleMeterRegistry meters = new SimpleMeterRegistry();
    AvroValues values = new AvroValues(cluster.connection);
    AtomicReference<Instant> now = new AtomicReference<>(Instant.now());
    Deque<Runnable> later = new ArrayDeque<>();
    ShardStage stage = stage(values, config, now::get, meters, atOnceOr(later));
    try {
      stage.open();
      stage.assigned(Set.of(0, 1, 2, 3));
      assertThat(open(meters, "shards")).isEqualTo(3);
      assertThat(answers(stage, values, records, new ArrayList<>()))
          .flatExtracting(InfluencePartial::getShards)
          .allMatch(answer -> answer.getStatus() == ShardStatus.SCANNED);
      assertThat(open(meters, "shards")).isEqualTo(5);
      assertThat(open(meters, "words")).isEqualTo(2);
      // It is looked again and again without another query.
      now.set(now.get().plus(ServedShards.UNUSED).minusSeconds(1));
      later.remove().run();
      assertThat(open(meters, "shards")).isEqualTo(5);
      now.set(now.get().plusSeconds(2));
      later.remove().run();
      assertThat(later).as("nothing is left to be closed").isEmpty();
      assertThat(open(meters, "shards")).isEqualTo(3);
      assertThat(open(meters, "words")).isZero();
    } finally {
      stage.close();
    }
  }

  private static void flip(Path file, long at) throws Exception {
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      ByteBuffer one = ByteBuffer.allocate(1);
      channel.read(one, at);
      one.put(0, (byte) (one.get(0) ^ 1)).rewind();
      channel.write(one, at);
    }
  }

  @Test
  void aShardWhosePostingsWereAlteredIsMissingAndTheReasonNamesThem() throws Exception {
    Path index = data.resolve("indexes/altered");
    cluster.build(index, 2);
    CorpusFile corpus = new CorpusFile(cluster.directory.resolve("corpus.jsonl"));
    List<ShardFile> shards = GradientIndex.open(index).shards();
    for (ShardFile shard : shards) {
      LexicalShard.buildIfMissing(shard, corpus);
    }
    try (Stream<Path> files = Files.list(LexicalShard.path(shards.get(0)))) {
      Path postings =
          files.max(Comparator.comparingLong(file -> file.toFile().length())).orElseThrow();
      flip(postings, Files.size(postings) / 2);
    }
    InfluenceConfig config =
        config(
            InfluenceCluster.chatModel(), "indexes", index.toString(), "query.preselect", "bm25:5");
    List<InfluencePartial> answers =
        answers(asked(config, InfluenceCluster.answered("words", 0), 2), new ArrayList<>(), config);
    assertThat(answers.stream().flatMap(answer -> answer.getShards().stream()))
        .allSatisfy(
            shard -> {
              if (shard.getShard() == 1) {
                assertThat(shard.getStatus()).isEqualTo(ShardStatus.MISSING);
                assertThat(shard.getReason())
                    .contains("shard-1-of-2.index.lexical is cut short or altered");
              } else {
                assertThat(shard.getStatus()).isEqualTo(ShardStatus.SCANNED);
              }
            });
  }

  /** Beginning and length of its documents are as before. */
  @Test
  void aCorpusThatDiffersInTheMiddleOfADocumentIsNotRankedBy() throws Exception {
    Path changed = data.resolve("changed.jsonl");
    byte[] bytes = Files.readAllBytes(cluster.directory.resolve("corpus.jsonl"));
    byte[] text =
        new String(bytes, StandardCharsets.UTF_8)
            .replaceFirst("a\\.", "e.")
            .getBytes(StandardCharsets.UTF_8);
    assertThat(text).hasSameSizeAs(bytes).isNotEqualTo(bytes);
    Files.write(changed, text);
    InfluenceConfig config =
        config(
            InfluenceCluster.chatModel(),
            "corpus",
            changed.toString(),
            "indexes",
            cluster.index().toString());
    List<InfluencePartial> answers =
        answers(asked(config, InfluenceCluster.answered("changed", 0)), new ArrayList<>(), config);
    assertThat(reranked(answers)).isZero();
    assertThat(answers.get(0).getNote())
        .contains("changed.jsonl is not the one that was indexed: its SHA-256 is another");
    assertThat(answers).flatExtracting(InfluencePartial::getDocuments).isNotEmpty();
  }

  @Test
  void aCorpusThatIsReplacedAfterTheFirstQueryIsNotRankedByAnyMore() throws Exception {
    byte[] indexed = Files.readAllBytes(cluster.directory.resolve("corpus.jsonl"));
    Path corpus = Files.write(data.resolve("corpus.jsonl"), indexed);
    InfluenceConfig config =
        config(
            InfluenceCluster.chatModel(),
            "corpus",
            corpus.toString(),
            "indexes",
            cluster.index().toString());
    AvroValues values = new AvroValues(cluster.connection);
    ShardStage stage = stage(values, config, InstantSource.system());
    try {
      stage.open();
      for (String id : List.of("first", "touched")) {
        Files.setLastModifiedTime(corpus, FileTime.fromMillis(id.length()));
        List<SourceRecord> batch = asked(config, InfluenceCluster.answered(id, 0));
        assertThat(reranked(answers(stage, values, batch, new ArrayList<>()))).isPositive();
      }
      String other = new String(indexed, StandardCharsets.UTF_8).replaceFirst("a\\.", "e.");
      Files.writeString(corpus, other);
      List<InfluencePartial> answers =
          answers(
              stage,
              values,
              asked(config, InfluenceCluster.answered("replaced", 0)),
              new ArrayList<>());
      assertThat(reranked(answers)).isZero();
      assertThat(answers.get(0).getNote())
          .contains("corpus.jsonl is not the one that was indexed: its SHA-256 is another");
      assertThat(answers).flatExtracting(InfluencePartial::getDocuments).isNotEmpty();
    } finally {
      stage.close();
    }
  }

  @Test
  void aConfiguredModelThatIsDamagedKeepsNoQueryFromTheModelUnderTheRoots() throws Exception {
    Path damaged = copied(InfluenceCluster.chatModel(), data.resolve("damaged"));
    Files.writeString(damaged.resolve("config.json"), "{");
    String[] here = {"indexes", cluster.index().toString()};
    List<SourceRecord> records =
        asked(config(InfluenceCluster.chatModel(), here), InfluenceCluster.answered("damaged", 0));
    assertThat(reranked(answers(records, new ArrayList<>(), config(damaged, here)))).isPositive();

    Path none = Files.createDirectory(data.resolve("none"));
    List<InfluencePartial> answers =
        answers(
            records,
            new ArrayList<>(),
            config(damaged, here[0], here[1], "models.roots", none.toString()));
    assertThat(reranked(answers)).isZero();
    assertThat(answers.get(0).getNote()).contains("damaged").contains("config.json");
  }

  /** A file that nobody can read any more, where it is that one can wait for. */
  @Test
  void theSketchOfAQueryThatHasExpiredIsNotLookedFor() throws Exception {
    InfluenceConfig config =
        config(InfluenceCluster.chatModel(), "claim-check.dir", data.resolve("gone").toString());
    AvroValues values = new AvroValues(cluster.connection);
    InstantSource later = () -> Instant.now().plus(Duration.ofMinutes(10));
    ShardStage stage = stage(values, config, later);
    try {
      stage.open();
      List<SourceRecord> batch = new ArrayList<>();
      for (SourceRecord record : asked(config, InfluenceCluster.answered("expired", 0))) {
        batch.add(changed(record, values, query -> query.setSketchFile("a".repeat(64))));
      }
      stage.coming(batch);
      for (SourceRecord record : batch) {
        assertThat(stage.prepare(record).run())
            .isInstanceOfSatisfying(
                Outcome.Written.class, written -> assertThat(written.results()).isEmpty());
      }
    } finally {
      stage.close();
    }
  }

  private static SourceRecord changed(
      SourceRecord record, AvroValues values, Consumer<InfluenceQuery.Builder> change)
      throws Exception {
    InfluenceQuery.Builder query =
        InfluenceQuery.newBuilder(
            values.read(record.value(), InfluenceQuery.class, InfluenceQuery.getClassSchema()));
    change.accept(query);
    return new SourceRecord(
        record.topic(),
        0,
        record.offset(),
        0,
        record.key(),
        values.write(record.topic(), query.build()),
        record.headers());
  }

  /** Whatever it is that throws: the clock does, at each of its calls in turn. */
  @Test
  void whatThrowsWhileABatchIsMadeReadyStopsNoneOfTheOtherRecords() throws Exception {
    InfluenceConfig config = config(InfluenceCluster.chatModel(), "query.rerank", "0");
    List<SourceRecord> batch = asked(config, InfluenceCluster.answered("throws", 0));
    for (int call = 0; call < 3 * PARTITIONS; call++) {
      int[] left = {Integer.MAX_VALUE};
      InstantSource clock =
          () -> {
            if (left[0]-- == 0) {
              throw new IllegalStateException("thrown");
            }
            return Instant.now();
          };
      AvroValues values = new AvroValues(cluster.connection);
      ShardStage stage = stage(values, config, clock);
      try {
        stage.open();
        left[0] = call;
        try {
          stage.coming(batch);
        } catch (IllegalStateException e) {
          assertThat(e).hasMessage("thrown"); // it is logged, and each record is prepared
        }
        left[0] = Integer.MAX_VALUE;
        assertThat(batch.stream().map(stage::prepare).toList())
            .extracting(Work::run)
            .as("call %s", call)
            .filteredOn(Outcome.Written.class::isInstance)
            .hasSizeGreaterThanOrEqualTo(PARTITIONS - 1);
      } finally {
        stage.close();
      }
    }
  }

  /** A directory in a file's place can not be read, as a file on a disk that fails. */
  @Test
  void aQueryWhoseFactorsCanNotBeReadDoesNotWaitForThemAndHasEstimatesThatSayWhy()
      throws Exception {
    Path factors = data.resolve("factors");
    Files.createDirectories(factors.resolve("unread/lambda.factors"));
    List<SourceRecord> records =
        asked(config(InfluenceCluster.chatModel()), InfluenceCluster.answered("unread", 0));
    List<InfluencePartial> answers =
        answers(
            records,
            new ArrayList<>(),
            config(
                InfluenceCluster.chatModel(),
                "factors",
                factors.toString(),
                "indexes",
                cluster.index().toString()));
    assertThat(reranked(answers)).isZero();
    assertThat(answers.get(0).getNote())
        .contains("unread/lambda.factors could not be read")
        .contains("can not be read now");
    assertThat(answers).flatExtracting(InfluencePartial::getDocuments).isNotEmpty();
  }

  /** What is only expected can wait until the disk is there again. */
  @Test
  void modelsThatAreOnlyExpectedAreTriedAgainWhileTheirFactorsCanNotBeRead() throws Exception {
    Path seen = data.resolve("seen");
    copied(cluster.pretraining(), seen.resolve("factors/base"));
    copied(cluster.fineTuning(), seen.resolve("factors/chat"));
    Files.copy(cluster.directory.resolve("corpus.jsonl"), seen.resolve("corpus.jsonl"));
    InfluenceCluster.build(seen, data.resolve("indexes/seen"), 1, OptionalInt.empty());
    Path lambda = seen.resolve("factors/base/lambda.factors");
    Files.delete(lambda);
    Files.createDirectory(lambda);
    InfluenceConfig config =
        config(
            InfluenceCluster.chatModel(),
            "factors",
            seen.resolve("factors").toString(),
            "indexes",
            data.resolve("indexes").toString());
    try (RankingModels models = new RankingModels(config)) {
      for (int i = 0; i < 2; i++) {
        assertThatThrownBy(() -> models.expect(Optional.empty()))
            .isInstanceOf(EnvironmentException.class)
            .hasMessageContaining("factors/base/lambda.factors could not be read");
      }
    }
  }

  private static int reranked(List<InfluencePartial> answers) {
    return answers.stream().mapToInt(InfluencePartial::getDocumentsReranked).sum();
  }

  @Test
  void documentsThatAreWantedBeyondThoseThatAreToBeRankedHaveEstimates() throws Exception {
    List<InfluencePartial> answers =
        answers(
            asked(
                config(InfluenceCluster.chatModel(), "query.top", "40", "query.rerank", "2"),
                InfluenceCluster.answered("many", 0)),
            new ArrayList<>());
    assertThat(reranked(answers)).isEqualTo(4);
    List<InfluentialDocument> documents =
        answers.stream().flatMap(answer -> answer.getDocuments().stream()).toList();
    assertThat(documents).hasSize(InfluenceCluster.DOCUMENTS);
    assertThat(documents.stream().filter(InfluentialDocument::getExact)).hasSize(4);
    assertThat(answers).extracting(InfluencePartial::getNote).containsOnly("");
  }

  @Test
  void whatTheDeadlineLeavesNoTimeForKeepsItsEstimateAndSaysSo() throws Exception {
    List<SourceRecord> records =
        asked(config(InfluenceCluster.chatModel()), InfluenceCluster.answered("late", 0));
    Instant deadline;
    try (AvroValues values = new AvroValues(cluster.connection)) {
      deadline =
          values
              .read(records.get(0).value(), InfluenceQuery.class, InfluenceQuery.getClassSchema())
              .getDeadline();
    }
    List<InfluencePartial> answers =
        answers(
            records,
            new ArrayList<>(),
            config(InfluenceCluster.chatModel()),
            InstantSource.fixed(deadline.minusMillis(1)));
    assertThat(reranked(answers)).isZero();
    assertThat(answers)
        .allSatisfy(
            answer -> {
              assertThat(answer.getShards())
                  .allMatch(shard -> shard.getStatus() == ShardStatus.SCANNED);
              assertThat(answer.getDocuments()).isNotEmpty().noneMatch(one -> one.getExact());
            });
    assertThat(answers.get(0).getNote()).contains("10 of 10 candidates have estimates only");
  }

  @Test
  void rankingIsPredictedByTheTokensOfDocuments() throws Exception {
    Path corpus = data.resolve("long.jsonl");
    List<String> lines = new ArrayList<>();
    for (Document one : TinyFactors.documents()) {
      lines.add(
          JsonMapper.builder()
              .build()
              .createObjectNode()
              .put("id", one.id())
              .put("text", (one.text() + "\n").repeat(8))
              .toString());
    }
    Files.write(corpus, lines);
    cluster.build(corpus, data.resolve("indexes/long"), InfluenceCluster.SHARDS, 1024);
    Map<String, Duration> predicted = new HashMap<>();
    for (Path index : List.of(cluster.index(), data.resolve("indexes/long"))) {
      InfluenceConfig config =
          config(
              InfluenceCluster.chatModel(),
              "indexes",
              index.toString(),
              "query.rerank",
              "20",
              "query.deadline",
              "1h");
      List<Duration> each = new ArrayList<>();
      var unused = answers(asked(config, InfluenceCluster.answered("tokens", 0)), each, config);
      predicted.put(index.getFileName().toString(), each.get(0));
    }
    long tokens = 0;
    for (ShardFile shard : GradientIndex.open(cluster.index()).shards()) {
      for (int i = 0; i < shard.size(); i++) {
        tokens += shard.entries(List.of(i)).get(0).tokens();
      }
    }
    // seven times as many more, at 2 ms a token, within a tenth for what pieces add
    assertThat(predicted.get("long").minus(predicted.get("base")).toMillis())
        .isCloseTo(7 * tokens * 2, Percentage.withPercentage(10));
  }

  @Test
  void aResponseThatCanNotBeRankedAgainHasItsShardsScannedAndEstimatesThatSayWhy()
      throws Exception {
    Conversation good = InfluenceCluster.answered("long", 0);
    Conversation tooLong =
        good.toBuilder().response("long ".repeat(20_000)).citations(List.of()).build();
    List<SourceRecord> records = new ArrayList<>();
    try (AvroValues values = new AvroValues(cluster.connection)) {
      for (SourceRecord record : asked(config(InfluenceCluster.chatModel()), good)) {
        records.add(
            changed(record, values, query -> query.setResponse(LlmResponses.toAvro(tooLong))));
      }
    }
    List<Duration> predicted = new ArrayList<>();
    List<InfluencePartial> answers = answers(records, predicted);
    assertThat(predicted.get(0)).isPositive();
    assertThat(predicted.subList(1, PARTITIONS)).containsOnly(Duration.ZERO);
    assertThat(answers)
        .allSatisfy(
            answer -> {
              assertThat(answer.getNote()).isNotEmpty().doesNotContain("long long");
              assertThat(answer.getShards())
                  .allMatch(shard -> shard.getStatus() == ShardStatus.SCANNED);
              assertThat(answer.getDocuments()).isNotEmpty().noneMatch(one -> one.getExact());
            });
  }

  /** Another model may take over between the question whose it is and its turn. */
  @Test
  void noQueryIsMadeByAModelThatDidNotGiveTheResponse() throws Exception {
    try (QueryModel model =
        new QueryModel(config(InfluenceCluster.chatModel()), new SimpleMeterRegistry())) {
      model.openFirst(List.of());
      Conversation ours = InfluenceCluster.answered("r", 0);
      assertThat(model.ask(InfluenceCluster.named("r", "acme/other", ours), Duration.ZERO))
          .isEmpty();
      assertThat(model.ask(ours, Duration.ZERO)).isPresent();
    }
  }

  /** The worker of requests and that of samples have one model, and a watchdog each. */
  @Test
  void whoWaitsForAnothersGradientKnowsWhoseResponseItIsAndGivesItBackBeforeItsOwnWorkLooksHung()
      throws Exception {
    ReentrantLock using = new ReentrantLock();
    try (QueryModel model =
        new QueryModel(
            config(InfluenceCluster.chatModel(), "hang.at-least", "400 ms"),
            new SimpleMeterRegistry(),
            using)) {
      model.openFirst(List.of());
      Conversation ours = InfluenceCluster.answered("r", 0);
      using.lock(); // as long as another thread takes a gradient
      try {
        CompletableFuture<Boolean> known =
            CompletableFuture.supplyAsync(() -> model.answersTo(ours.model()));
        assertThat(known).succeedsWithin(Duration.ofSeconds(10)).isEqualTo(true);
        CompletableFuture<Optional<QueryModel.Query>> asked =
            CompletableFuture.supplyAsync(() -> model.ask(ours, Duration.ZERO));
        assertThat(asked)
            .failsWithin(Duration.ofSeconds(10))
            .withThrowableOfType(ExecutionException.class)
            .withCauseInstanceOf(EnvironmentException.class)
            .withMessageContaining("another stage has been taking a gradient for more than 200 ms");
      } finally {
        using.unlock();
      }
      assertThat(model.ask(ours, Duration.ZERO)).isPresent();
    }
  }

  /** Loading has its own time before a batch; a record that is read has less. */
  @Test
  void aModelThatMadeRoomComesBackBeforeABatchAndNotWhileARecordIsRead() throws Exception {
    InfluenceConfig config = config(InfluenceCluster.chatModel(), "models.reload", "unload-first");
    ModelRelease base =
        ModelRelease.newBuilder()
            .setModelId("base")
            .setLocation(InfluenceCluster.baseModel().getFileName().toString())
            .setDigest(cluster.opened().settings().modelDigest())
            .build();
    Path vectors = cluster.pretraining().resolve("eigenvectors.factors");
    Path away = data.resolve("away");
    try (QueryModel model = new QueryModel(config, new SimpleMeterRegistry())) {
      model.openFirst(List.of());
      Conversation ours = InfluenceCluster.answered("r", 0);
      Files.move(vectors, away);
      try {
        assertThatThrownBy(() -> model.takeOver(Optional.of(base)))
            .isInstanceOf(ModelLoadException.class);
        assertThatThrownBy(model::bringBack).isInstanceOf(EnvironmentException.class);
      } finally {
        Files.move(away, vectors);
      }
      assertThatThrownBy(() -> model.answersTo(ours.model()))
          .isInstanceOf(EnvironmentException.class)
          .hasMessage("no model is loaded: the old one could not be loaded again yet");

      model.bringBack();
      assertThat(model.answersTo(ours.model())).isTrue();
      assertThat(model.ask(ours, Duration.ZERO)).isPresent();
    }
  }

  /** The old model's files are gone, so that it could not be loaded again. */
  @Test
  void aReleaseThatDoesNotFitUnloadsNothingAlsoWhereTheOldModelIsToMakeRoomFirst()
      throws Exception {
    Path models = data.resolve("models");
    Path old = copied(InfluenceCluster.chatModel(), models.resolve("old"));
    copied(InfluenceCluster.baseModel(), models.resolve("next"));
    InfluenceConfig config =
        config(old, "models.roots", models.toString(), "models.reload", "unload-first");
    try (QueryModel model = new QueryModel(config, new SimpleMeterRegistry())) {
      model.openFirst(List.of());
      Files.move(old, models.resolve("gone"));
      String base = cluster.opened().settings().modelDigest();
      ModelRelease liar =
          ModelRelease.newBuilder()
              .setModelId("next")
              .setLocation("next")
              .setDigest("1".repeat(64))
              .setLineage(
                  List.of(ModelAncestor.newBuilder().setRelation("base").setDigest(base).build()))
              .build();
      assertThatThrownBy(() -> model.takeOver(Optional.of(liar)))
          .isInstanceOf(ModelLoadException.class)
          .hasMessageContaining("but its release says 1111");
      assertThat(model.ask(InfluenceCluster.answered("r", 0), Duration.ZERO)).isPresent();
    }
  }

  private static Path copied(Path from, Path to) throws Exception {
    Files.createDirectories(to);
    try (Stream<Path> files = Files.list(from)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Files.copy(file, to.resolve(file.getFileName()));
      }
    }
    return to;
  }

  @Test
  void aSketchThatIsTooLargeForARecordIsRefusedWhereThereIsNoOtherPlaceForIt() {
    assertThatThrownBy(
            () ->
                asked(
                    config(InfluenceCluster.chatModel(), "claim-check.above", "1KiB"),
                    InfluenceCluster.answered("r", 0)))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("2048 bytes, more than claim-check.above, 1024")
        .hasMessageContaining("set claim-check.dir");
  }

  @Test
  void documentsThatShareWordsAreCandidatesAndAShardWithoutItsWordsIsMissing() throws Exception {
    InfluenceConfig config =
        config(
            InfluenceCluster.chatModel(),
            "query.preselect",
            "bm25:5",
            "query.rerank",
            "1",
            "query.top",
            "1");
    List<SourceRecord> records = asked(config, InfluenceCluster.answered("words", 0));
    for (InfluencePartial answer : answers(records, new ArrayList<>())) {
      assertThat(answer.getShards())
          .allSatisfy(
              shard -> {
                assertThat(shard.getStatus()).isEqualTo(ShardStatus.MISSING);
                assertThat(shard.getReason()).contains(".lexical is missing");
              });
    }
    CorpusFile corpus = new CorpusFile(cluster.directory.resolve("corpus.jsonl"));
    for (ShardFile shard : GradientIndex.open(cluster.index()).shards()) {
      LexicalShard.buildIfMissing(shard, corpus);
    }
    List<InfluencePartial> answers = answers(records, new ArrayList<>());
    assertThat(answers)
        .flatExtracting(InfluencePartial::getShards)
        .allMatch(shard -> shard.getStatus() == ShardStatus.SCANNED);
    assertThat(answers.stream().mapToInt(InfluencePartial::getDocumentsPreselected).sum())
        .isEqualTo(5);
    // The scan gives one of each sign; what is more was ranked for its words.
    assertThat(answers.stream().mapToInt(InfluencePartial::getDocumentsReranked).sum())
        .isBetween(5, 7);
    assertThat(influences(answers, "words")).isNotEmpty();
    assertThat(config.query().preselect().suffix()).isEqualTo(", bm25:5");

    // Words that are being written, or were cut short.
    ShardFile damaged = GradientIndex.open(cluster.index()).shards().get(0);
    try (Stream<Path> files = Files.list(LexicalShard.path(damaged))) {
      for (Path file : files.toList()) {
        Files.delete(file);
      }
    }
    List<ShardAnswer> after =
        answers(records, new ArrayList<>()).stream()
            .flatMap(answer -> answer.getShards().stream())
            .toList();
    assertThat(after.stream().filter(shard -> shard.getStatus() == ShardStatus.MISSING))
        .singleElement()
        .satisfies(shard -> assertThat(shard.getReason()).contains("is cut short or altered"));
    LexicalShard.buildIfMissing(damaged, corpus);
  }
}
