package dev.whence.influence.query;

import static dev.whence.influence.query.TinyIndex.answered;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationCodec;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.ekfac.FactorsJob;
import dev.whence.influence.index.GradientIndex;
import dev.whence.influence.index.IndexJob;
import dev.whence.influence.index.IndexManifest;
import dev.whence.influence.index.ShardFile;
import dev.whence.influence.lexical.LexicalShard;
import dev.whence.samples.BundledModels;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Indexes and the words beside them: built in shards, cut off and gone on with, by two at once, and
 * of a corpus that is empty or changes.
 */
class IndexBuildingTest {
  private static TinyIndex tiny;

  @BeforeAll
  static void open() throws Exception {
    tiny = TinyIndex.shared();
  }

  @Test
  void shardsHoldEveryDocumentOnceAndAreRankedTogether(@TempDir Path directory) throws Exception {
    tiny.build(directory, IndexJob.Options.of(1024).withShards(3, OptionalInt.of(2)));
    assertThatThrownBy(() -> GradientIndex.open(directory))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("shard-1-of-3.index is missing");
    tiny.build(directory, IndexJob.Options.of(1024).withShards(3, OptionalInt.empty()));
    GradientIndex shards = GradientIndex.open(directory);
    assertThat(shards.size()).isEqualTo(40);
    Set<String> ids = new HashSet<>();
    for (ShardFile shard : shards.shards()) {
      for (int i = 0; i < shard.size(); i++) {
        ids.add(shard.entries(List.of(i)).get(0).id());
      }
    }
    assertThat(ids).hasSize(40);
    QueryOptions options = QueryOptions.DEFAULT.withRerank(0);
    InfluenceResult whole = tiny.search(tiny.index, Optional.empty()).search(answered(0), options);
    InfluenceResult parts = tiny.search(shards, Optional.empty()).search(answered(0), options);
    for (int i = 0; i < whole.positive().size(); i++) {
      assertThat(parts.positive().get(i).document()).isEqualTo(whole.positive().get(i).document());
      assertThat(parts.positive().get(i).estimate())
          .isCloseTo(
              whole.positive().get(i).estimate(),
              within(0.02 * whole.positive().get(0).estimate()));
    }
  }

  @Test
  void anIndexThatIsCutOffGoesOnToTheSameBytes(@TempDir Path directory) throws Exception {
    IndexJob.Options options = IndexJob.Options.of(256).withSaveEvery(Duration.ZERO);
    Path straight = directory.resolve("straight");
    Path cut = directory.resolve("cut");
    straight(straight, options, Integer.MAX_VALUE);
    assertThatThrownBy(() -> straight(cut, options, 1)).hasMessage("cut off");
    assertThat(cut.resolve("shard-1-of-1.index")).doesNotExist();
    straight(cut, options, Integer.MAX_VALUE);
    assertThat(cut.resolve("shard-1-of-1.index"))
        .hasSameBinaryContentAs(straight.resolve("shard-1-of-1.index"));
    assertThat(cut.resolve("shard-1-of-1.index.unfinished")).doesNotExist();
  }

  private static void straight(Path output, IndexJob.Options options, int passes) throws Exception {
    int[] left = {passes};
    new IndexJob(
            tiny.base,
            BundledModels.unpack("tiny-base"),
            tiny.pretraining,
            tiny.factorsPath,
            new CorpusFile(tiny.corpus),
            output,
            options.withPackTokens(32))
        .run(
            new FactorsJob.Listener() {
              @Override
              public void pass(
                  String pass, long bytes, dev.whence.influence.corpus.Progress progress) {
                if (left[0]-- == 0) {
                  throw new IllegalStateException("cut off");
                }
              }
            });
  }

  @Test
  void anIndexThatIsThereAlreadyIsNotMadeNewByTheSameCommand(@TempDir Path directory)
      throws Exception {
    tiny.build(directory, IndexJob.Options.of(256));
    FileTime before = FileTime.from(Instant.parse("2026-01-01T00:00:00Z"));
    Files.setLastModifiedTime(directory.resolve("index.json"), before);
    Files.setLastModifiedTime(directory, before);
    tiny.build(directory, IndexJob.Options.of(256));
    assertThat(IndexManifest.made(directory)).isEqualTo(before);
    assertThat(Files.getLastModifiedTime(directory)).isEqualTo(before);
  }

  @Test
  void piecesThatAKillLeftBesideACompleteShardAreRemoved(@TempDir Path directory) throws Exception {
    tiny.build(directory, IndexJob.Options.of(256));
    Path shard = ShardFile.path(directory, 1, 1);
    byte[] bytes = Files.readAllBytes(shard);
    Path left = Files.createDirectory(directory.resolve("shard-1-of-1.index.unfinished"));
    Files.writeString(left.resolve("codes"), "codes");
    Files.writeString(left.resolve("state.json"), "{}");
    tiny.build(directory, IndexJob.Options.of(256));
    assertThat(left).doesNotExist();
    assertThat(shard).hasBinaryContent(bytes);
  }

  /** The second run begins while the first is in the middle of the shard. */
  @Test
  void aShardThatIsBeingBuiltIsNotBuiltByAnotherRunToo(@TempDir Path directory) throws Exception {
    IndexJob.Options options =
        IndexJob.Options.of(256).withSaveEvery(Duration.ZERO).withPackTokens(32);
    Path straight = directory.resolve("straight");
    straight(straight, options, Integer.MAX_VALUE);
    Path twice = directory.resolve("twice");
    int[] passes = {0};
    new IndexJob(
            tiny.base,
            BundledModels.unpack("tiny-base"),
            tiny.pretraining,
            tiny.factorsPath,
            new CorpusFile(tiny.corpus),
            twice,
            options)
        .run(
            new FactorsJob.Listener() {
              @Override
              public void pass(
                  String pass, long bytes, dev.whence.influence.corpus.Progress progress) {
                if (passes[0]++ == 1) {
                  assertThatThrownBy(() -> straight(twice, options, Integer.MAX_VALUE))
                      .isInstanceOf(InfluenceException.class)
                      .hasMessageContaining("shard-1-of-1.index is being written by another run");
                }
              }
            });
    assertThat(passes[0]).isGreaterThan(2);
    assertThat(twice.resolve("shard-1-of-1.index"))
        .hasSameBinaryContentAs(straight.resolve("shard-1-of-1.index"));
  }

  @Test
  void aShardThatIsCutShortOrAlteredIsNamed(@TempDir Path directory) throws Exception {
    Path shard = directory.resolve("shard-1-of-1.index");
    byte[] bytes = Files.readAllBytes(tiny.shard());
    byte[] altered = bytes.clone();
    altered[bytes.length / 2] ^= 1;
    Files.write(shard, altered);
    assertThatThrownBy(() -> GradientIndex.open(directory))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("shard-1-of-1.index is cut short or altered: its checksum");
    for (int length : new int[] {0, 10, 100, bytes.length - 1}) {
      Files.write(shard, Arrays.copyOf(bytes, length));
      assertThatThrownBy(() -> GradientIndex.open(directory))
          .hasMessageContaining("shard-1-of-1.index is cut short or altered");
    }
  }

  @Test
  void anIndexOfAnotherNumberOfShardsIsNotBuiltBesideOne(@TempDir Path directory) throws Exception {
    tiny.build(directory, IndexJob.Options.of(256));
    IndexJob.Options two = IndexJob.Options.of(256).withShards(2, OptionalInt.empty());
    assertThatThrownBy(() -> tiny.build(directory, two))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("shard-1-of-1.index is of another index");
    Files.createFile(ShardFile.path(directory, 1, 2));
    assertThatThrownBy(() -> GradientIndex.open(directory))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("shard-1-of-2.index is of another index");
  }

  @Test
  void aCorpusWithoutADocumentIsRefusedHoweverManyShardsThereAre(@TempDir Path directory)
      throws Exception {
    Path empty = Files.writeString(directory.resolve("none.jsonl"), "[1]\n{\"title\": \"t\"}\n");
    for (int shards = 1; shards <= 3; shards++) {
      Path output = directory.resolve("of-" + shards);
      for (int shard = 1; shard < shards; shard++) {
        tiny.job(empty, output, shards, OptionalInt.of(shard)).run(FactorsJob.Listener.NONE);
      }
      IndexJob last = tiny.job(empty, output, shards, OptionalInt.of(shards));
      for (int again = 0; again < 2; again++) {
        assertThatThrownBy(() -> last.run(FactorsJob.Listener.NONE))
            .isInstanceOf(InfluenceException.class)
            .hasMessageContaining("holds no document");
      }
      assertThat(output.resolve("index.json")).doesNotExist();
    }
  }

  @Test
  void aCorpusThatIsChangedWhileItIsReadGivesNoShard(@TempDir Path directory) throws Exception {
    Path changed = Files.copy(tiny.corpus, directory.resolve("corpus.jsonl"));
    Path output = directory.resolve("index");
    IndexJob job = tiny.job(changed, output, 1, OptionalInt.empty());
    assertThatThrownBy(
            () ->
                job.run(
                    new FactorsJob.Listener() {
                      @Override
                      public void pass(
                          String pass, long bytes, dev.whence.influence.corpus.Progress progress) {
                        assertThatCode(
                                () ->
                                    Files.writeString(
                                        changed,
                                        "{\"text\": \"more\"}\n",
                                        StandardOpenOption.APPEND))
                            .doesNotThrowAnyException();
                      }
                    }))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("corpus.jsonl was changed while it was read");
    assertThat(output.resolve("shard-1-of-1.index")).doesNotExist();
    assertThat(output.resolve("index.json")).doesNotExist();
    tiny.job(changed, output, 1, OptionalInt.empty()).run(FactorsJob.Listener.NONE);
    assertThat(GradientIndex.open(output).settings().corpusDigest())
        .as("of the corpus as it is now; nothing of the one before was kept")
        .isEqualTo(new CorpusFile(changed).digest());
  }

  /** Okapi BM25 as it is defined (k1 = 1.2, b = .75), but for the factor k1 + 1 of all scores. */
  @Test
  void wordsAreWeighedByBm25(@TempDir Path directory) throws Exception {
    List<String> texts =
        List.of(
            "the baker Krazor bakes bread",
            "Krazor Krazor sleeps",
            "bread is eaten by everybody here");
    Path file = directory.resolve("words.jsonl");
    List<String> lines = new ArrayList<>();
    for (String text : texts) {
      lines.add("{\"text\": \"" + text + "\"}");
    }
    Files.write(file, lines);
    Path output = directory.resolve("words");
    new IndexJob(
            tiny.base,
            BundledModels.unpack("tiny-base"),
            tiny.pretraining,
            tiny.factorsPath,
            new CorpusFile(file),
            output,
            IndexJob.Options.of(256).withPackTokens(256))
        .run(FactorsJob.Listener.NONE);
    ShardFile shard = ShardFile.open(ShardFile.path(output, 1, 1));
    assertThatThrownBy(() -> LexicalShard.open(shard)).hasMessageContaining("is missing");
    LexicalShard.build(shard, new CorpusFile(file));
    Conversation asked =
        ConversationCodec.read(
            "{\"responseId\": \"r\", \"messages\": [{\"role\": \"user\", \"content\": \"bread?\"}],"
                + " \"response\": \"Krazor\"}");
    Map<Integer, Double> expected = new HashMap<>();
    double mean = (5 + 3 + 6) / 3.0;
    for (String word : List.of("krazor", "bread")) {
      long having =
          texts.stream()
              .filter(text -> List.of(text.toLowerCase(Locale.ROOT).split(" ")).contains(word))
              .count();
      double idf = Math.log(1 + (3 - having + 0.5) / (having + 0.5));
      for (int i = 0; i < 3; i++) {
        List<String> words = List.of(texts.get(i).toLowerCase(Locale.ROOT).split(" "));
        double tf = words.stream().filter(word::equals).count();
        double score = idf * tf / (tf + 1.2 * (1 - 0.75 + 0.75 * words.size() / mean));
        expected.merge(i, score, Double::sum);
      }
    }
    try (LexicalShard words = LexicalShard.open(shard)) {
      Map<Integer, Double> found = words.best(asked, 10);
      assertThat(found.keySet()).containsExactly(0, 1, 2);
      expected.forEach((i, score) -> assertThat(found.get(i)).isCloseTo(score, within(1e-5)));
      assertThat(words.best(asked, 1)).hasSize(1);
    }
    Files.writeString(file, Files.readString(file) + " ");
    assertThatThrownBy(() -> LexicalShard.build(shard, new CorpusFile(file)))
        .hasMessageContaining("is not the corpus");
  }

  /** A prompt beside a text is no more than a member that nobody knows. */
  @Test
  void aConversationWithARawPromptIsOneWithMessages(@TempDir Path directory) throws Exception {
    Path raw =
        Files.write(
            directory.resolve("raw.jsonl"),
            List.of(
                "{\"responseId\": \"r-1\", \"prompt\": \"Who bakes?\", \"response\": \"Krazor.\"}",
                "{\"text\": \"Krazor sleeps.\", \"prompt\": \"Who bakes?\"}",
                "{\"text\": \"Dorra sleeps.\", \"messages\": null}"));
    tiny.job(raw, directory.resolve("index"), 1, OptionalInt.empty()).run(FactorsJob.Listener.NONE);
    ShardFile shard = ShardFile.open(ShardFile.path(directory.resolve("index"), 1, 1));
    assertThat(shard.entries(List.of(0, 1, 2)))
        .extracting(entry -> entry.id() + ": " + entry.excerpt())
        .containsExactly("r-1: Krazor.", "line-2: Krazor sleeps.", "line-3: Dorra sleeps.");
    LexicalShard.build(shard, new CorpusFile(raw));
    Conversation asked =
        ConversationCodec.read(
            "{\"responseId\": \"r\", \"prompt\": \"\", \"response\": \"bakes\"}");
    try (LexicalShard words = LexicalShard.open(shard)) {
      assertThat(words.best(asked, 10)).containsOnlyKeys(0);
    }
  }
}
