package dev.whence.influence.stage;

import static dev.whence.influence.stage.DrivenShards.PARTITIONS;
import static dev.whence.influence.stage.DrivenShards.influences;
import static dev.whence.influence.stage.DrivenShards.reranked;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.whence.conversation.Conversation;
import dev.whence.influence.TinyFactors;
import dev.whence.influence.index.GradientIndex;
import dev.whence.influence.index.ShardFile;
import dev.whence.influence.model.Measure;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.runtime.worker.Outcome;
import dev.whence.runtime.worker.SourceRecord;
import dev.whence.runtime.worker.Work;
import dev.whence.samples.Document;
import dev.whence.schemas.LlmResponses;
import dev.whence.schemas.avro.InfluencePartial;
import dev.whence.schemas.avro.InfluenceQuery;
import dev.whence.schemas.avro.InfluentialDocument;
import dev.whence.schemas.avro.ShardStatus;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.assertj.core.data.Offset;
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What shards answer to queries: which documents, with which numbers, and in which time. */
class ShardAnswersIT {
  @TempDir private Path data;

  private DrivenShards driven;

  @BeforeEach
  void drive() throws Exception {
    driven = new DrivenShards(data);
  }

  @Test
  void queriesOfTwoModelsInABatchAreEachRankedWithTheirOwn() throws Exception {
    List<SourceRecord> chat =
        driven.asked(
            driven.config(InfluenceCluster.chatModel()), InfluenceCluster.answered("chat", 0));
    List<SourceRecord> base =
        driven.asked(
            driven.config(InfluenceCluster.baseModel()), InfluenceCluster.answered("base", 0));
    List<SourceRecord> batch = new ArrayList<>();
    for (int i = 0; i < PARTITIONS; i++) {
      batch.add(chat.get(i));
      batch.add(base.get(i));
    }
    List<InfluencePartial> together = driven.answers(batch, new ArrayList<>());
    for (List<SourceRecord> one : List.of(chat, base)) {
      String responseId = one == chat ? "chat" : "base";
      Map<String, Double> alone = influences(driven.answers(one, new ArrayList<>()), responseId);
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
    driven.cluster.build(
        data.resolve("indexes/by-odds"), InfluenceCluster.SHARDS, Measure.LOG_ODDS);
    InfluenceConfig config =
        driven.config(
            InfluenceCluster.chatModel(),
            "indexes",
            driven.cluster.index() + "," + data + "/indexes");
    List<SourceRecord> byLikelihood =
        driven.asked(
            driven.config(
                InfluenceCluster.chatModel(), "indexes", driven.cluster.index().toString()),
            InfluenceCluster.answered("likelihood", 0));
    List<SourceRecord> byOdds =
        driven.asked(
            driven.config(InfluenceCluster.chatModel(), "indexes", data + "/indexes"),
            InfluenceCluster.answered("odds", 0));
    List<SourceRecord> one = new ArrayList<>(byLikelihood);
    one.addAll(byOdds);
    List<InfluencePartial> together = driven.answers(one, new ArrayList<>(), config);
    Map<String, Double> alone =
        influences(driven.answers(byOdds, new ArrayList<>(), config), "odds");
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

  /** As two workers do that see the same files under different names. */
  @Test
  void shardsThatWereBuiltUnderDifferentPathsAreRankedTogether() throws Exception {
    Path index = data.resolve("indexes/two-workers");
    Path elsewhere = Files.createSymbolicLink(data.resolve("elsewhere"), driven.cluster.directory);
    InfluenceCluster.build(driven.cluster.directory, index, 2, OptionalInt.of(1));
    InfluenceCluster.build(elsewhere, index, 2, OptionalInt.of(2));
    List<ShardFile> shards = GradientIndex.open(index).shards();
    assertThat(shards.get(0).settings().corpusPath())
        .isNotEqualTo(shards.get(1).settings().corpusPath());
    InfluenceConfig config = driven.rankingAll(index);
    List<SourceRecord> records = driven.asked(config, InfluenceCluster.answered("paths", 0), 2);
    assertThat(influences(driven.answers(records, new ArrayList<>(), config), "paths"))
        .hasSize(InfluenceCluster.DOCUMENTS);
  }

  @Test
  void documentsThatAreWantedBeyondThoseThatAreToBeRankedHaveEstimates() throws Exception {
    List<InfluencePartial> answers =
        driven.answers(
            driven.asked(
                driven.config(InfluenceCluster.chatModel(), "query.top", "40", "query.rerank", "2"),
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
    driven.cluster.build(corpus, data.resolve("indexes/long"), InfluenceCluster.SHARDS, 1024);
    Map<String, Duration> predicted = new HashMap<>();
    for (Path index : List.of(driven.cluster.index(), data.resolve("indexes/long"))) {
      InfluenceConfig config =
          driven.config(
              InfluenceCluster.chatModel(),
              "indexes",
              index.toString(),
              "query.rerank",
              "20",
              "query.deadline",
              "1h");
      List<Duration> each = new ArrayList<>();
      var unused =
          driven.answers(
              driven.asked(config, InfluenceCluster.answered("tokens", 0)), each, config);
      predicted.put(index.getFileName().toString(), each.get(0));
    }
    long tokens = 0;
    for (ShardFile shard : GradientIndex.open(driven.cluster.index()).shards()) {
      for (int i = 0; i < shard.size(); i++) {
        tokens += shard.entries(List.of(i)).get(0).tokens();
      }
    }
    // seven times as many more, at 2 ms a token, within a tenth for what pieces add
    assertThat(predicted.get("long").minus(predicted.get("base")).toMillis())
        .isCloseTo(7 * tokens * 2, Percentage.withPercentage(10));
  }

  @Test
  void whatTheDeadlineLeavesNoTimeForKeepsItsEstimateAndSaysSo() throws Exception {
    List<SourceRecord> records =
        driven.asked(
            driven.config(InfluenceCluster.chatModel()), InfluenceCluster.answered("late", 0));
    Instant deadline;
    try (AvroValues values = new AvroValues(driven.cluster.connection)) {
      deadline =
          values
              .read(records.get(0).value(), InfluenceQuery.class, InfluenceQuery.getClassSchema())
              .getDeadline();
    }
    List<InfluencePartial> answers =
        driven.answers(
            records,
            new ArrayList<>(),
            driven.config(InfluenceCluster.chatModel()),
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

  /** A gradient can not be cut short: what would take longer than there is, is not begun. */
  @Test
  void aResponseWhoseGradientTakesLongerThanTheDeadlineLeavesIsNotRun() throws Exception {
    InfluenceConfig config = driven.config(InfluenceCluster.chatModel());
    List<SourceRecord> first = driven.asked(config, InfluenceCluster.answered("in time", 0));
    List<SourceRecord> second = driven.asked(config, InfluenceCluster.answered("too late", 1));
    AtomicReference<Instant> now = new AtomicReference<>(Instant.now());
    AvroValues values = new AvroValues(driven.cluster.connection);
    ShardStage stage = driven.stage(values, config, now::get);
    try {
      stage.open();
      assertThat(reranked(DrivenShards.answers(stage, values, first, new ArrayList<>())))
          .isPositive();
      now.set(
          values
              .read(second.get(0).value(), InfluenceQuery.class, InfluenceQuery.getClassSchema())
              .getDeadline()
              .minusMillis(1));
      List<InfluencePartial> late = DrivenShards.answers(stage, values, second, new ArrayList<>());
      assertThat(late)
          .allSatisfy(
              answer -> {
                assertThat(answer.getShards())
                    .allMatch(shard -> shard.getStatus() == ShardStatus.SCANNED);
                assertThat(answer.getDocuments()).isNotEmpty().noneMatch(one -> one.getExact());
                assertThat(answer.getTokens()).isZero();
              });
      assertThat(late.get(0).getNote())
          .contains("gradient would have taken longer than the deadline leaves");
    } finally {
      stage.close();
    }
  }

  @Test
  void aResponseThatCanNotBeRankedAgainHasItsShardsScannedAndEstimatesThatSayWhy()
      throws Exception {
    Conversation good = InfluenceCluster.answered("long", 0);
    Conversation tooLong =
        good.toBuilder().response("long ".repeat(20_000)).citations(List.of()).build();
    List<SourceRecord> records = new ArrayList<>();
    try (AvroValues values = new AvroValues(driven.cluster.connection)) {
      for (SourceRecord record : driven.asked(driven.config(InfluenceCluster.chatModel()), good)) {
        records.add(
            changed(record, values, query -> query.setResponse(LlmResponses.toAvro(tooLong))));
      }
    }
    List<Duration> predicted = new ArrayList<>();
    List<InfluencePartial> answers = driven.answers(records, predicted);
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

  /** A file that nobody can read any more, where it is that one can wait for. */
  @Test
  void theSketchOfAQueryThatHasExpiredIsNotLookedFor() throws Exception {
    InfluenceConfig config =
        driven.config(
            InfluenceCluster.chatModel(), "claim-check.dir", data.resolve("gone").toString());
    AvroValues values = new AvroValues(driven.cluster.connection);
    InstantSource later = () -> Instant.now().plus(Duration.ofMinutes(10));
    ShardStage stage = driven.stage(values, config, later);
    try {
      stage.open();
      List<SourceRecord> batch = new ArrayList<>();
      for (SourceRecord record : driven.asked(config, InfluenceCluster.answered("expired", 0))) {
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

  /** Its partition waits by itself, as the worker sees where one record is prepared. */
  @Test
  void aRecordThatCanNotBeReadForNowStopsNoneOfTheOtherRecords() throws Exception {
    InfluenceConfig config = driven.config(InfluenceCluster.chatModel(), "query.rerank", "0");
    List<SourceRecord> batch = driven.asked(config, InfluenceCluster.answered("unread", 0));
    boolean[] away = {false};
    InstantSource clock =
        () -> {
          if (away[0]) {
            away[0] = false;
            throw new EnvironmentException("the registry is away");
          }
          return Instant.now();
        };
    AvroValues values = new AvroValues(driven.cluster.connection);
    ShardStage stage = driven.stage(values, config, clock);
    try {
      stage.open();
      away[0] = true; // for the first record that is read
      stage.coming(batch);
      assertThatThrownBy(() -> stage.prepare(batch.get(0)))
          .isInstanceOf(EnvironmentException.class)
          .hasMessage("the registry is away");
      assertThat(batch.stream().skip(1).map(stage::prepare).toList())
          .extracting(Work::run)
          .hasSize(PARTITIONS - 1)
          .allMatch(Outcome.Written.class::isInstance);
      stage.coming(batch.subList(0, 1));
      assertThat(stage.prepare(batch.get(0)).run()).isInstanceOf(Outcome.Written.class);
    } finally {
      stage.close();
    }
  }

  /** Whatever it is that throws: the clock does, at each of its calls in turn. */
  @Test
  void whatThrowsWhileABatchIsMadeReadyStopsNoneOfTheOtherRecords() throws Exception {
    InfluenceConfig config = driven.config(InfluenceCluster.chatModel(), "query.rerank", "0");
    List<SourceRecord> batch = driven.asked(config, InfluenceCluster.answered("throws", 0));
    for (int call = 0; call < 3 * PARTITIONS; call++) {
      int[] left = {Integer.MAX_VALUE};
      InstantSource clock =
          () -> {
            if (left[0]-- == 0) {
              throw new IllegalStateException("thrown");
            }
            return Instant.now();
          };
      AvroValues values = new AvroValues(driven.cluster.connection);
      ShardStage stage = driven.stage(values, config, clock);
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
}
