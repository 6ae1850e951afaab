package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.conversation.Conversation;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.index.GradientIndex;
import dev.whence.influence.index.ShardFile;
import dev.whence.influence.lexical.LexicalShard;
import dev.whence.runtime.config.Settings;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.EventWriter;
import dev.whence.runtime.worker.Outcome;
import dev.whence.runtime.worker.Result;
import dev.whence.runtime.worker.SourceRecord;
import dev.whence.runtime.worker.Work;
import dev.whence.schemas.LlmResponses;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluenceCause;
import dev.whence.schemas.avro.InfluencePartial;
import dev.whence.schemas.avro.InfluenceQuery;
import dev.whence.schemas.avro.InfluentialDocument;
import dev.whence.schemas.avro.ShardStatus;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Queries and shards without topics between them; a registry is all they need. */
class ShardStageIT {
  private static final int PARTITIONS = 4;

  @TempDir private Path data;

  private static InfluenceBench bench;
  private static Topics topics;
  private int offset;

  @BeforeAll
  static void open() throws Exception {
    bench = InfluenceBench.shared();
    topics = bench.topics();
  }

  private InfluenceConfig config(Path model, String... more) throws Exception {
    Map<String, String> settings = new HashMap<>(bench.settings(topics, data, Map.of()));
    settings.put("model", model.toString());
    settings.put(
        "models.roots",
        InfluenceBench.chatModel().getParent() + "," + InfluenceBench.baseModel().getParent());
    settings.put("query.rerank", "5");
    for (int i = 0; i < more.length; i += 2) {
      settings.put(more[i], more[i + 1]);
    }
    return InfluenceConfig.read(Settings.of(settings));
  }

  /** The records of a query about a response of a model, as shards' processes get them. */
  private List<SourceRecord> asked(InfluenceConfig config, Conversation response) throws Exception {
    List<SourceRecord> records = new ArrayList<>();
    try (AvroValues values = new AvroValues(bench.connection);
        QueryModel model = new QueryModel(config, new SimpleMeterRegistry())) {
      EventWriter writer = new EventWriter(values, QueryStage.REQUESTED, "test");
      model.openFirst(List.of());
      QueryModel.Query query = model.ask(response).orElseThrow();
      Influence begun =
          new InfluenceEvents(writer, topics.influences().name(), config.query())
              .begun(
                  InfluenceEvents.about(response, InfluenceCause.REQUESTED, ""),
                  "query of " + response.responseId(),
                  query,
                  0);
      List<Result> results =
          new ResponseQueries(
                  writer,
                  topics.influenceQueries().name(),
                  topics.influencePartials().name(),
                  config.query(),
                  Optional.empty(),
                  config.inlineBytes(),
                  InstantSource.system())
              .of(query, LlmResponses.toAvro(response), begun, PARTITIONS);
      for (Result result : results) {
        if (result.topic().equals(topics.influenceQueries().name())) {
          records.add(
              new SourceRecord(
                  result.topic(), 0, offset++, 0, result.key(), result.value(), result.headers()));
        }
      }
    }
    assertThat(records).hasSize(PARTITIONS);
    return records;
  }

  /** Answers to records of one batch. */
  private List<InfluencePartial> answers(List<SourceRecord> batch, List<Duration> predicted)
      throws Exception {
    AvroValues values = new AvroValues(bench.connection);
    ShardStage stage =
        new ShardStage(
            values,
            new EventWriter(values, ShardStage.NAME, "test"),
            topics.influencePartials().name(),
            config(InfluenceBench.chatModel()),
            new InfluenceMetrics(new SimpleMeterRegistry()),
            InstantSource.system(),
            "test",
            List::of);
    try {
      stage.open();
      stage.coming(batch);
      List<InfluencePartial> answers = new ArrayList<>();
      for (SourceRecord record : batch) {
        Work work = stage.prepare(record);
        predicted.add(work.predicted());
        assertThat(work.run())
            .isInstanceOfSatisfying(
                Outcome.Written.class,
                written -> {
                  try {
                    answers.add(
                        values.read(
                            written.results().get(0).value(),
                            InfluencePartial.class,
                            InfluencePartial.getClassSchema()));
                  } catch (dev.whence.runtime.serde.UnreadableException e) {
                    throw new AssertionError(e);
                  }
                });
      }
      return answers;
    } finally {
      stage.close();
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
        asked(config(InfluenceBench.chatModel()), InfluenceBench.answered("chat", 0));
    List<SourceRecord> base =
        asked(config(InfluenceBench.baseModel()), InfluenceBench.answered("base", 0));
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

  @Test
  void aResponseThatCanNotBeRankedAgainHasItsShardsScannedAndEstimatesThatSayWhy()
      throws Exception {
    Conversation good = InfluenceBench.answered("long", 0);
    Conversation tooLong =
        new Conversation(
            good.responseId(),
            good.model(),
            good.occurredAt(),
            good.messages(),
            good.reasoning(),
            "long ".repeat(20_000),
            good.finishReason(),
            List.of(),
            good.tools(),
            good.conversationId(),
            good.subjectId(),
            good.traceparent(),
            good.attributes());
    List<SourceRecord> records = new ArrayList<>();
    try (AvroValues values = new AvroValues(bench.connection)) {
      for (SourceRecord record : asked(config(InfluenceBench.chatModel()), good)) {
        InfluenceQuery query =
            values.read(record.value(), InfluenceQuery.class, InfluenceQuery.getClassSchema());
        records.add(
            new SourceRecord(
                record.topic(),
                0,
                record.offset(),
                0,
                record.key(),
                values.write(
                    record.topic(),
                    InfluenceQuery.newBuilder(query)
                        .setResponse(LlmResponses.toAvro(tooLong))
                        .build()),
                record.headers()));
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
        new QueryModel(config(InfluenceBench.chatModel()), new SimpleMeterRegistry())) {
      model.openFirst(List.of());
      Conversation ours = InfluenceBench.answered("r", 0);
      assertThat(model.ask(InfluenceBench.named("r", "acme/other", ours))).isEmpty();
      assertThat(model.ask(ours)).isPresent();
    }
  }

  @Test
  void aSketchThatIsTooLargeForARecordIsRefusedWhereThereIsNoOtherPlaceForIt() {
    assertThatThrownBy(
            () ->
                asked(
                    config(InfluenceBench.chatModel(), "claim-check.above", "1KiB"),
                    InfluenceBench.answered("r", 0)))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("2048 bytes, more than claim-check.above, 1024")
        .hasMessageContaining("set claim-check.dir");
  }

  @Test
  void documentsThatShareWordsAreCandidatesAndAShardWithoutItsWordsIsMissing() throws Exception {
    InfluenceConfig config = config(InfluenceBench.chatModel(), "query.preselect", "bm25:3");
    List<SourceRecord> records = asked(config, InfluenceBench.answered("words", 0));
    for (InfluencePartial answer : answers(records, new ArrayList<>())) {
      assertThat(answer.getShards())
          .allSatisfy(
              shard -> {
                assertThat(shard.getStatus()).isEqualTo(ShardStatus.MISSING);
                assertThat(shard.getReason()).contains(".lexical is missing");
              });
    }
    CorpusFile corpus = new CorpusFile(bench.directory.resolve("corpus.jsonl"));
    for (ShardFile shard : GradientIndex.open(bench.index()).shards()) {
      LexicalShard.buildIfMissing(shard, corpus);
    }
    List<InfluencePartial> answers = answers(records, new ArrayList<>());
    assertThat(answers)
        .flatExtracting(InfluencePartial::getShards)
        .allMatch(shard -> shard.getStatus() == ShardStatus.SCANNED);
    assertThat(answers.stream().mapToInt(InfluencePartial::getDocumentsPreselected).sum())
        .isBetween(1, 3);
    assertThat(influences(answers, "words")).isNotEmpty();
    assertThat(config.query().preselect().suffix()).isEqualTo(", bm25:3");
  }
}
