package dev.whence.influence.stage;

import static dev.whence.influence.stage.DrivenShards.atOnceOr;
import static dev.whence.influence.stage.DrivenShards.flip;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.index.GradientIndex;
import dev.whence.influence.index.ShardFile;
import dev.whence.influence.lexical.LexicalShard;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.worker.SourceRecord;
import dev.whence.schemas.avro.InfluencePartial;
import dev.whence.schemas.avro.InfluenceQuery;
import dev.whence.schemas.avro.ShardAnswer;
import dev.whence.schemas.avro.ShardStatus;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * When a stage opens the files of shards and closes them: before the first query, as partitions
 * come and go, and when nobody asks any more.
 */
class ShardOpeningIT {
  @TempDir private Path data;

  private DrivenShards driven;

  @BeforeEach
  void drive() throws Exception {
    driven = new DrivenShards(data);
  }

  /** Reading a shard for its checksum is done when no query waits for it. */
  @Test
  void shardsOfTheIndexThatWillBeAskedAreOpenBeforeTheFirstQuery() throws Exception {
    Path index = data.resolve("indexes/opened");
    driven.cluster.build(index, 1);
    InfluenceConfig config =
        driven.config(InfluenceCluster.chatModel(), "indexes", index.toString());
    List<SourceRecord> records = driven.asked(config, InfluenceCluster.answered("opened", 0), 1);
    AvroValues values = new AvroValues(driven.cluster.connection);
    ShardStage stage = driven.stage(values, config, InstantSource.system());
    try {
      stage.open();
      stage.assigned(Set.of(1));
      // Whoever reads all of it from here on finds a shard that is altered.
      Path shard = ShardFile.path(index, 1, 1);
      FileTime before = Files.getLastModifiedTime(shard);
      flip(shard, Files.size(shard) - 1);
      Files.setLastModifiedTime(shard, before);
      assertThat(DrivenShards.answers(stage, values, records, new ArrayList<>()))
          .flatExtracting(InfluencePartial::getShards)
          .allMatch(answer -> answer.getStatus() == ShardStatus.SCANNED);
    } finally {
      stage.close();
    }
  }

  /** A directory in a file's place can not be read, as a file on a disk that fails. */
  @Test
  void whileNobodyCanSayWhichIndexIsAskedQueriesFindTheirShardsAndItIsAskedAgain()
      throws Exception {
    Path indexes = data.resolve("indexes");
    driven.cluster.build(indexes.resolve("readable"), 2);
    InfluenceConfig config =
        driven.config(
            InfluenceCluster.chatModel(), "indexes", indexes.toString(), "query.rerank", "0");
    List<SourceRecord> records = driven.asked(config, InfluenceCluster.answered("unread", 0), 2);
    Path unread = Files.createDirectories(indexes.resolve("unread/index.json"));
    SimpleMeterRegistry meters = new SimpleMeterRegistry();
    Deque<Runnable> again = new ArrayDeque<>();
    AvroValues values = new AvroValues(driven.cluster.connection);
    ShardStage stage =
        driven.stage(
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
      assertThat(DrivenShards.answers(stage, values, List.of(records.get(0)), new ArrayList<>()))
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

  /** Its deadline is now: there is no time to check a shard that nobody has opened yet. */
  @Test
  void aQueryDoesNotWaitForAShardThatTakesLongerToOpenThanItsDeadlineLeaves() throws Exception {
    Path index = data.resolve("indexes/long");
    driven.cluster.build(index, 2);
    InfluenceConfig config =
        driven.config(
            InfluenceCluster.chatModel(), "indexes", index.toString(), "query.rerank", "0");
    List<SourceRecord> first = driven.asked(config, InfluenceCluster.answered("first", 0), 2);
    List<SourceRecord> second = driven.asked(config, InfluenceCluster.answered("second", 1), 2);
    AtomicReference<Instant> now = new AtomicReference<>(Instant.now());
    Deque<Runnable> later = new ArrayDeque<>();
    SimpleMeterRegistry meters = new SimpleMeterRegistry();
    AvroValues values = new AvroValues(driven.cluster.connection);
    ShardStage stage = driven.stage(values, config, now::get, meters, atOnceOr(later));
    try {
      stage.open();
      now.set(
          values
              .read(first.get(0).value(), InfluenceQuery.class, InfluenceQuery.getClassSchema())
              .getDeadline());
      assertThat(DrivenShards.answers(stage, values, List.of(first.get(0)), new ArrayList<>()))
          .flatExtracting(InfluencePartial::getShards)
          .allSatisfy(
              shard -> {
                assertThat(shard.getStatus()).isEqualTo(ShardStatus.MISSING);
                assertThat(shard.getReason()).contains("is being opened");
              })
          .isNotEmpty();
      assertThat(open(meters, "shards")).isZero();
      List.copyOf(later).forEach(Runnable::run);
      assertThat(open(meters, "shards")).isEqualTo(1);
      assertThat(DrivenShards.answers(stage, values, List.of(second.get(0)), new ArrayList<>()))
          .flatExtracting(InfluencePartial::getShards)
          .isNotEmpty()
          .allMatch(shard -> shard.getStatus() == ShardStatus.SCANNED);
    } finally {
      stage.close();
    }
  }

  /** Eight shards by four partitions: shards 1 and 5 are partition 1's, and so on. */
  @Test
  void shardsOfAssignedPartitionsAreOpenedThoseOfRevokedOnesClosedLaterAndOthersDoNotMatter()
      throws Exception {
    Path index = data.resolve("indexes/parts");
    driven.cluster.build(index, InfluenceCluster.SHARDS);
    InfluenceConfig config =
        driven.config(
            InfluenceCluster.chatModel(), "indexes", index.toString(), "query.deadline", "1h");
    List<SourceRecord> records = driven.asked(config, InfluenceCluster.answered("parts", 0));
    Files.delete(ShardFile.path(index, 2, InfluenceCluster.SHARDS));
    SimpleMeterRegistry meters = new SimpleMeterRegistry();
    AvroValues values = new AvroValues(driven.cluster.connection);
    AtomicReference<Instant> now = new AtomicReference<>(Instant.now());
    Deque<Runnable> later = new ArrayDeque<>();
    ShardStage stage = driven.stage(values, config, now::get, meters, atOnceOr(later));
    try {
      stage.open();
      assertThat(open(meters, "shards")).isZero();
      stage.assigned(Set.of(1, 3));
      assertThat(open(meters, "shards")).isEqualTo(4);
      assertThat(
              DrivenShards.answers(
                  stage, values, List.of(records.get(1), records.get(3)), new ArrayList<>()))
          .flatExtracting(InfluencePartial::getShards)
          .allMatch(answer -> answer.getStatus() == ShardStatus.SCANNED)
          .extracting(ShardAnswer::getShard)
          .containsExactly(1, 5, 3, 7);
      now.set(now.get().plus(ServedShards.UNUSED.multipliedBy(2)));
      stage.assigned(Set.of(2, 3));
      assertThat(open(meters, "shards")).as("1 and 5 were ours until now").isEqualTo(5);
      assertThat(DrivenShards.answers(stage, values, List.of(records.get(2)), new ArrayList<>()))
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
    driven.cluster.build(index, InfluenceCluster.SHARDS);
    InfluenceConfig config =
        driven.config(
            InfluenceCluster.chatModel(), "indexes", index.toString(), "query.rerank", "0");
    SimpleMeterRegistry meters = new SimpleMeterRegistry();
    Deque<Runnable> tasks = new ArrayDeque<>();
    ShardStage stage =
        driven.stage(
            new AvroValues(driven.cluster.connection),
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

  /** Two shards of one index, and room for one of them. */
  @Test
  void asManyShardsAsHaveRoomAreHeldInMemoryAndOneThatIsClosedMakesRoom() throws Exception {
    Path index = data.resolve("indexes/held");
    driven.cluster.build(index, 2);
    List<Long> bytes =
        GradientIndex.open(index).shards().stream().map(ShardFile::scannedBytes).toList();
    String room = Long.toString(Math.max(bytes.get(0), bytes.get(1)));
    InfluenceConfig config =
        driven.config(
            InfluenceCluster.chatModel(),
            "indexes",
            index.toString(),
            "indexes.memory",
            room,
            "query.rerank",
            "0");
    InfluenceConfig without =
        driven.config(
            InfluenceCluster.chatModel(),
            "indexes",
            index.toString(),
            "indexes.memory",
            "0",
            "query.rerank",
            "0");
    List<SourceRecord> records = driven.asked(config, InfluenceCluster.answered("held", 0), 2);
    AtomicReference<Instant> now = new AtomicReference<>(Instant.now());
    Deque<Runnable> later = new ArrayDeque<>();
    SimpleMeterRegistry meters = new SimpleMeterRegistry();
    AvroValues values = new AvroValues(driven.cluster.connection);
    ShardStage stage = driven.stage(values, config, now::get, meters, atOnceOr(later));
    ShardStage reading = driven.stage(values, without, InstantSource.system());
    try {
      stage.open();
      reading.open();
      stage.assigned(Set.of(1, 2));
      reading.assigned(Set.of(1, 2));
      assertThat(open(meters, "shards")).isEqualTo(2);
      long held = (long) meters.get("whence.influence.held.bytes").gauge().value();
      assertThat(bytes).contains(held);
      assertThat(estimates(DrivenShards.answers(stage, values, records, new ArrayList<>())))
          .isNotEmpty()
          .isEqualTo(estimates(DrivenShards.answers(reading, values, records, new ArrayList<>())));
      int heldShard = 1 + bytes.indexOf(held);
      now.set(now.get().plus(ServedShards.UNUSED));
      stage.assigned(Set.of(3 - heldShard));
      now.set(now.get().plus(ServedShards.UNUSED).plusSeconds(1));
      later.remove().run();
      assertThat(open(meters, "shards")).isEqualTo(1);
      assertThat(meters.get("whence.influence.held.bytes").gauge().value())
          .isEqualTo((double) bytes.get(2 - heldShard));
    } finally {
      reading.close();
      stage.close();
    }
  }

  private static Map<String, Double> estimates(List<InfluencePartial> answers) {
    Map<String, Double> estimates = new TreeMap<>();
    answers.stream()
        .flatMap(answer -> answer.getDocuments().stream())
        .forEach(document -> estimates.put(document.getId(), document.getInfluence()));
    return estimates;
  }

  private static int open(MeterRegistry meters, String what) {
    return (int) meters.get("whence.influence." + what + ".open").gauge().value();
  }

  @Test
  void shardsAndWordsOfAnIndexThatNobodyAsksAnyMoreAreClosedAndThoseOfTheExpectedOneStay()
      throws Exception {
    Path before = data.resolve("indexes/before");
    Path expected = data.resolve("indexes/expected");
    driven.cluster.build(before, 2);
    driven.cluster.build(expected, 3);
    CorpusFile corpus = new CorpusFile(driven.cluster.directory.resolve("corpus.jsonl"));
    GradientIndex.open(before).shards().forEach(one -> LexicalShard.buildIfMissing(one, corpus));
    String both = before + "," + expected;
    InfluenceConfig config =
        driven.config(
            InfluenceCluster.chatModel(), "indexes", both, "query.index", expected.toString());
    List<SourceRecord> records =
        driven.asked(
            driven.config(
                InfluenceCluster.chatModel(),
                "indexes",
                before.toString(),
                "query.preselect",
                "bm25:5"),
            InfluenceCluster.answered("before", 0),
            2);
    SimpleMeterRegistry meters = new SimpleMeterRegistry();
    AvroValues values = new AvroValues(driven.cluster.connection);
    AtomicReference<Instant> now = new AtomicReference<>(Instant.now());
    Deque<Runnable> later = new ArrayDeque<>();
    ShardStage stage = driven.stage(values, config, now::get, meters, atOnceOr(later));
    try {
      stage.open();
      stage.assigned(Set.of(0, 1, 2, 3));
      assertThat(open(meters, "shards")).isEqualTo(3);
      assertThat(DrivenShards.answers(stage, values, records, new ArrayList<>()))
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
}
