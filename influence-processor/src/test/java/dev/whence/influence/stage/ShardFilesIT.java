package dev.whence.influence.stage;

import static dev.whence.influence.stage.DrivenShards.copied;
import static dev.whence.influence.stage.DrivenShards.flip;
import static dev.whence.influence.stage.DrivenShards.influences;
import static dev.whence.influence.stage.DrivenShards.reranked;
import static dev.whence.influence.stage.DrivenShards.written;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.files.Sha256;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.index.GradientIndex;
import dev.whence.influence.index.IndexSettings;
import dev.whence.influence.index.ShardFile;
import dev.whence.influence.lexical.LexicalShard;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.runtime.worker.SourceRecord;
import dev.whence.runtime.worker.Work;
import dev.whence.schemas.avro.InfluencePartial;
import dev.whence.schemas.avro.InfluenceQuery;
import dev.whence.schemas.avro.ShardAnswer;
import dev.whence.schemas.avro.ShardStatus;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What shards answer when a file is missing, damaged, replaced or not the one that was indexed: a
 * shard, its words, the corpus, a model, factors.
 */
class ShardFilesIT {
  @TempDir private Path data;

  private DrivenShards driven;

  @BeforeEach
  void drive() throws Exception {
    driven = new DrivenShards(data);
  }

  /** The scan does not read what documents are. */
  @Test
  void aShardWhoseEntriesCanNotBeReadIsMissingAndTheOthersAnswer() throws Exception {
    Path index = data.resolve("indexes/entries");
    driven.cluster.build(index, 2);
    Path shard = ShardFile.path(index, 1, 2);
    byte[] bytes = Files.readAllBytes(shard);
    int end = bytes.length - 32; // of the entries; whoever made the file gave the checksum
    bytes[end - 1] = 0;
    byte[] sum = Sha256.begin().digest(Arrays.copyOf(bytes, end));
    System.arraycopy(sum, 0, bytes, end, 32);
    Files.write(shard, bytes);
    Files.delete(index.resolve("index.json"));
    InfluenceConfig config = driven.rankingAll(index);
    List<SourceRecord> records = driven.asked(config, InfluenceCluster.answered("entries", 0), 2);
    assertThat(driven.answers(records, new ArrayList<>(), config))
        .flatExtracting(InfluencePartial::getShards)
        .extracting(answer -> answer.getShard() + " " + answer.getStatus())
        .contains("1 MISSING", "2 SCANNED");
  }

  /** Ranking takes seconds; the clock is asked when it begins, after the look at the shards. */
  @Test
  void aShardThatIsReplacedWhileCandidatesAreRankedAnswersAsAllOthers() throws Exception {
    Path index = data.resolve("indexes/replaced");
    driven.cluster.build(index, 2);
    InfluenceConfig config = driven.rankingAll(index);
    List<SourceRecord> records = driven.asked(config, InfluenceCluster.answered("replaced", 0), 2);
    Path copy = Files.copy(ShardFile.path(index, 1, 2), data.resolve("copy"));
    AtomicReference<Runnable> next = new AtomicReference<>(() -> {});
    AvroValues values = new AvroValues(driven.cluster.connection);
    ShardStage stage =
        driven.stage(
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

  @Test
  void aShardWhosePostingsWereAlteredIsMissingAndTheReasonNamesThem() throws Exception {
    Path index = data.resolve("indexes/altered");
    driven.cluster.build(index, 2);
    CorpusFile corpus = new CorpusFile(driven.cluster.directory.resolve("corpus.jsonl"));
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
        driven.config(
            InfluenceCluster.chatModel(), "indexes", index.toString(), "query.preselect", "bm25:5");
    List<InfluencePartial> answers =
        driven.answers(
            driven.asked(config, InfluenceCluster.answered("words", 0), 2),
            new ArrayList<>(),
            config);
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

  @Test
  void documentsThatShareWordsAreCandidatesAndAShardWithoutItsWordsIsMissing() throws Exception {
    InfluenceConfig config =
        driven.config(
            InfluenceCluster.chatModel(),
            "query.preselect",
            "bm25:5",
            "query.rerank",
            "1",
            "query.top",
            "1");
    List<SourceRecord> records = driven.asked(config, InfluenceCluster.answered("words", 0));
    for (InfluencePartial answer : driven.answers(records, new ArrayList<>())) {
      assertThat(answer.getShards())
          .allSatisfy(
              shard -> {
                assertThat(shard.getStatus()).isEqualTo(ShardStatus.MISSING);
                assertThat(shard.getReason()).contains(".lexical is missing");
              });
    }
    CorpusFile corpus = new CorpusFile(driven.cluster.directory.resolve("corpus.jsonl"));
    for (ShardFile shard : GradientIndex.open(driven.cluster.index()).shards()) {
      LexicalShard.buildIfMissing(shard, corpus);
    }
    List<InfluencePartial> answers = driven.answers(records, new ArrayList<>());
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
    ShardFile damaged = GradientIndex.open(driven.cluster.index()).shards().get(0);
    try (Stream<Path> files = Files.list(LexicalShard.path(damaged))) {
      for (Path file : files.toList()) {
        Files.delete(file);
      }
    }
    List<ShardAnswer> after =
        driven.answers(records, new ArrayList<>()).stream()
            .flatMap(answer -> answer.getShards().stream())
            .toList();
    assertThat(after.stream().filter(shard -> shard.getStatus() == ShardStatus.MISSING))
        .singleElement()
        .satisfies(shard -> assertThat(shard.getReason()).contains("is cut short or altered"));
    LexicalShard.buildIfMissing(damaged, corpus);
  }

  /** Beginning and length of its documents are as before. */
  @Test
  void aCorpusThatDiffersInTheMiddleOfADocumentIsNotRankedBy() throws Exception {
    Path changed = data.resolve("changed.jsonl");
    byte[] bytes = Files.readAllBytes(driven.cluster.directory.resolve("corpus.jsonl"));
    byte[] text =
        new String(bytes, StandardCharsets.UTF_8)
            .replaceFirst("a\\.", "e.")
            .getBytes(StandardCharsets.UTF_8);
    assertThat(text).hasSameSizeAs(bytes).isNotEqualTo(bytes);
    Files.write(changed, text);
    InfluenceConfig config =
        driven.config(
            InfluenceCluster.chatModel(),
            "corpus",
            changed.toString(),
            "indexes",
            driven.cluster.index().toString());
    List<InfluencePartial> answers =
        driven.answers(
            driven.asked(config, InfluenceCluster.answered("changed", 0)),
            new ArrayList<>(),
            config);
    assertThat(reranked(answers)).isZero();
    assertThat(answers.get(0).getNote())
        .contains("changed.jsonl is not the one that was indexed: its SHA-256 is another");
    assertThat(answers).flatExtracting(InfluencePartial::getDocuments).isNotEmpty();
  }

  @Test
  void aCorpusThatIsReplacedAfterTheFirstQueryIsNotRankedByAnyMore() throws Exception {
    byte[] indexed = Files.readAllBytes(driven.cluster.directory.resolve("corpus.jsonl"));
    Path corpus = Files.write(data.resolve("corpus.jsonl"), indexed);
    InfluenceConfig config =
        driven.config(
            InfluenceCluster.chatModel(),
            "corpus",
            corpus.toString(),
            "indexes",
            driven.cluster.index().toString());
    AvroValues values = new AvroValues(driven.cluster.connection);
    ShardStage stage = driven.stage(values, config, InstantSource.system());
    try {
      stage.open();
      for (String id : List.of("first", "touched")) {
        Files.setLastModifiedTime(corpus, FileTime.fromMillis(id.length()));
        List<SourceRecord> batch = driven.asked(config, InfluenceCluster.answered(id, 0));
        assertThat(reranked(DrivenShards.answers(stage, values, batch, new ArrayList<>())))
            .isPositive();
      }
      String other = new String(indexed, StandardCharsets.UTF_8).replaceFirst("a\\.", "e.");
      Files.writeString(corpus, other);
      List<InfluencePartial> answers =
          DrivenShards.answers(
              stage,
              values,
              driven.asked(config, InfluenceCluster.answered("replaced", 0)),
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
    String[] here = {"indexes", driven.cluster.index().toString()};
    List<SourceRecord> records =
        driven.asked(
            driven.config(InfluenceCluster.chatModel(), here),
            InfluenceCluster.answered("damaged", 0));
    assertThat(reranked(driven.answers(records, new ArrayList<>(), driven.config(damaged, here))))
        .isPositive();

    Path none = Files.createDirectory(data.resolve("none"));
    List<InfluencePartial> answers =
        driven.answers(
            records,
            new ArrayList<>(),
            driven.config(damaged, here[0], here[1], "models.roots", none.toString()));
    assertThat(reranked(answers)).isZero();
    assertThat(answers.get(0).getNote()).contains("damaged").contains("config.json");
  }

  /** A directory in a file's place can not be read, as a file on a disk that fails. */
  @Test
  void aQueryWhoseFactorsCanNotBeReadDoesNotWaitForThemAndHasEstimatesThatSayWhy()
      throws Exception {
    Path factors = data.resolve("factors");
    Files.createDirectories(factors.resolve("unread/lambda.factors"));
    List<SourceRecord> records =
        driven.asked(
            driven.config(InfluenceCluster.chatModel()), InfluenceCluster.answered("unread", 0));
    List<InfluencePartial> answers =
        driven.answers(
            records,
            new ArrayList<>(),
            driven.config(
                InfluenceCluster.chatModel(),
                "factors",
                factors.toString(),
                "indexes",
                driven.cluster.index().toString()));
    assertThat(reranked(answers)).isZero();
    assertThat(answers.get(0).getNote())
        .contains("unread/lambda.factors could not be read")
        .contains("can not be read now");
    assertThat(answers).flatExtracting(InfluencePartial::getDocuments).isNotEmpty();
  }

  /** Shards are scanned without it, and other queries may need another one. */
  @Test
  void aModelThatCanNotBeLoadedNowIsNoReasonToWaitForQueriesAndOneForWhatIsOnlyExpected()
      throws Exception {
    InfluenceConfig config =
        driven.config(InfluenceCluster.chatModel(), "engine.device", "cuda:99");
    List<SourceRecord> records =
        driven.asked(
            driven.config(InfluenceCluster.chatModel()), InfluenceCluster.answered("unread", 0));
    try (AvroValues values = new AvroValues(driven.cluster.connection);
        RankingModels models = new RankingModels(config)) {
      InfluenceQuery query =
          values.read(
              records.get(0).value(), InfluenceQuery.class, InfluenceQuery.getClassSchema());
      IndexSettings settings = GradientIndex.open(driven.cluster.index()).settings();
      assertThat(models.prepare(query, settings))
          .hasValueSatisfying(reason -> assertThat(reason).contains("can not be loaded"));
      assertThat(models.refuses(query, settings)).isTrue();
      assertThatThrownBy(() -> models.expect(Optional.empty()))
          .isInstanceOf(EnvironmentException.class);
    }
  }

  /** What is only expected can wait until the disk is there again. */
  @Test
  void modelsThatAreOnlyExpectedAreTriedAgainWhileTheirFactorsCanNotBeRead() throws Exception {
    Path seen = data.resolve("seen");
    copied(driven.cluster.pretraining(), seen.resolve("factors/base"));
    copied(driven.cluster.fineTuning(), seen.resolve("factors/chat"));
    Files.copy(driven.cluster.directory.resolve("corpus.jsonl"), seen.resolve("corpus.jsonl"));
    InfluenceCluster.build(seen, data.resolve("indexes/seen"), 1, OptionalInt.empty());
    Path lambda = seen.resolve("factors/base/lambda.factors");
    Files.delete(lambda);
    Files.createDirectory(lambda);
    InfluenceConfig config =
        driven.config(
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
}
