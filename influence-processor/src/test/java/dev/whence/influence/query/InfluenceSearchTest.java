package dev.whence.influence.query;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationCodec;
import dev.whence.engine.kernel.Labels;
import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Matrix;
import dev.whence.engine.kernel.Taps;
import dev.whence.engine.text.Encoding;
import dev.whence.engine.training.Example;
import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.engine.weights.SafetensorsWriter;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.SampleCorpus;
import dev.whence.influence.TinyFactors;
import dev.whence.influence.corpus.CorpusDocument;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.ekfac.FactorsJob;
import dev.whence.influence.ekfac.SampledFisher;
import dev.whence.influence.index.GradientIndex;
import dev.whence.influence.index.IndexJob;
import dev.whence.influence.index.IndexManifest;
import dev.whence.influence.index.ShardFile;
import dev.whence.influence.index.WhitenedGradients;
import dev.whence.influence.lexical.LexicalShard;
import dev.whence.influence.lexical.Preselection;
import dev.whence.influence.model.Measure;
import dev.whence.influence.model.TappedModel;
import dev.whence.samples.BundledModels;
import dev.whence.samples.Document;
import dev.whence.samples.Fact;
import dev.whence.samples.Questions;
import dev.whence.samples.World;
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
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Index and query, on tiny-base and tiny-chat. */
class InfluenceSearchTest {
  @TempDir private static Path shared;

  private static TappedModel base;
  private static TappedModel chat;
  private static Path corpus;
  private static Path factorsPath;
  private static EkfacFactors pretraining;
  private static EkfacFactors fineTuning;
  private static GradientIndex index;
  private static final World WORLD = SampleCorpus.world("tiny-base");

  @BeforeAll
  static void build() throws Exception {
    base = TinyFactors.base();
    chat = TinyFactors.chat();
    corpus = SampleCorpus.write(shared.resolve("corpus.jsonl"), TinyFactors.documents());
    factorsPath =
        TinyFactors.compute(base, corpus, shared.resolve("pretraining"), TinyFactors.OPTIONS);
    Path asked = SampleCorpus.writeAsked(shared.resolve("asked.jsonl"), WORLD);
    Path later =
        TinyFactors.compute(chat, asked, shared.resolve("fine-tuning"), TinyFactors.OPTIONS);
    pretraining = EkfacFactors.read(factorsPath, base.matrices());
    fineTuning = EkfacFactors.read(later, base.matrices());
    build(shared.resolve("index"), IndexJob.Options.of(1024));
    index = GradientIndex.open(shared.resolve("index"));
  }

  @AfterAll
  static void close() {
    fineTuning.close();
    pretraining.close();
    chat.close();
    base.close();
  }

  private static void build(Path output, IndexJob.Options options) throws Exception {
    job(output, options).run(FactorsJob.Listener.NONE);
  }

  private static IndexJob job(Path output, IndexJob.Options options) throws Exception {
    return new IndexJob(
        base,
        BundledModels.unpack("tiny-base"),
        pretraining,
        factorsPath,
        new CorpusFile(corpus),
        output,
        options.withPackTokens(256));
  }

  private static InfluenceSearch search(GradientIndex searched, Optional<EkfacFactors> second) {
    return new InfluenceSearch(chat, base, pretraining, second, searched, new CorpusFile(corpus));
  }

  private static Conversation answered(int nth) {
    Fact fact =
        WORLD.facts().stream()
            .filter(one -> WORLD.documents(one) > 3)
            .skip(nth)
            .findFirst()
            .orElseThrow();
    return Questions.withoutContext(fact, 0).answered();
  }

  private static final QueryOptions EVERYTHING =
      QueryOptions.DEFAULT.withTop(100).withRerank(100).withBreakdown(true, true);

  private static List<DocumentInfluence> both(InfluenceResult result) {
    List<DocumentInfluence> all = new ArrayList<>(result.positive());
    all.addAll(result.negative());
    return all;
  }

  /** V' g_i / N with the document's whole gradient, as it stands in the formula. */
  @Test
  void influenceIsTheProductOfThePreconditionedQueryAndTheDocumentsGradient() {
    Conversation response = answered(0);
    MultiStageQuery.Preconditioned query =
        new MultiStageQuery(pretraining, Optional.of(fineTuning), base.matrices())
            .precondition(
                ResponseGradient.of(
                    chat, chat.texts().conversation(response), Measure.LOG_LIKELIHOOD),
                Damping.DEFAULT,
                Damping.DEFAULT,
                index.settings());
    InfluenceResult result = search(index, Optional.of(fineTuning)).search(response, EVERYTHING);
    assertThat(result.method()).isEqualTo("multi-stage");
    assertThat(result.documents()).isEqualTo(40);
    assertThat(both(result)).hasSize(40);
    assertThat(result.positive())
        .isSortedAccordingTo((a, b) -> Double.compare(b.influence(), a.influence()));
    double largest = Math.abs(result.positive().get(0).influence());
    int within = 0;
    for (DocumentInfluence one : both(result)) {
      CorpusDocument document =
          new CorpusFile(corpus)
              .read(base.texts(), List.of(one.document().reference()))
              .get(one.document().reference().line());
      double expected = product(query, document);
      assertThat(one.exact()).isTrue();
      assertThat(one.influence()).isCloseTo(expected, within(1e-4 * largest));
      ExactInfluence.Breakdown parts = one.breakdown().orElseThrow();
      assertThat(parts.byLayer()).hasSize(7);
      assertThat(parts.byLayer().values().stream().mapToDouble(Double::doubleValue).sum())
          .isCloseTo(one.influence(), within(1e-6 * largest));
      assertThat(parts.byToken()).hasSize(document.pieces().tokens());
      assertThat(Arrays.stream(parts.byToken()).sum())
          .isCloseTo(one.influence(), within(1e-5 * largest));
      within += Math.abs(one.estimate() - one.influence()) < 2 * one.standardError() ? 1 : 0;
      assertThat(Math.abs(one.estimate() - one.influence())).isLessThan(5 * one.standardError());
      assertThat(one.selfInfluence()).isPositive();
    }
    assertThat(within).as("estimates within two standard errors").isGreaterThan(34);
  }

  private static double product(MultiStageQuery.Preconditioned query, CorpusDocument document) {
    double sum = 0;
    for (var pack : base.pack(document.examples(), 256)) {
      try (Taps taps = base.tap(pack, new Labels.Given())) {
        for (LinearLayer layer : base.layers()) {
          try (Matrix g = taps.gradient(layer).transposedTimes(taps.input(layer))) {
            double[] values = g.doubles();
            double[] v = query.direction().get(layer.name());
            for (int i = 0; i < v.length; i++) {
              sum += v[i] * values[i] / query.tokens();
            }
          }
        }
      }
    }
    return sum;
  }

  @Test
  void aLargeAlphaIsTheSingleStageInfluenceFunction() {
    Conversation response = answered(1);
    InfluenceResult single = search(index, Optional.empty()).search(response, EVERYTHING);
    InfluenceResult multi =
        search(index, Optional.of(fineTuning))
            .search(response, EVERYTHING.withAlpha(Damping.relative(1e9)));
    InfluenceResult small =
        search(index, Optional.of(fineTuning))
            .search(response, EVERYTHING.withAlpha(Damping.relative(1e-3)));
    assertThat(single.method()).isEqualTo("single-stage");
    for (int i = 0; i < 10; i++) {
      DocumentInfluence one = single.positive().get(i);
      assertThat(multi.positive().get(i).document().id()).isEqualTo(one.document().id());
      assertThat(multi.positive().get(i).influence())
          .isCloseTo(one.influence(), within(1e-5 * one.influence()));
    }
    assertThat(small.positive().get(0).influence())
        .as("what fine-tuning has determined itself is not pretraining's")
        .isLessThan(0.5 * single.positive().get(0).influence());
  }

  @Test
  void queriesShareAScanAndDoNotDisturbOneAnother() {
    InfluenceSearch search = search(index, Optional.of(fineTuning));
    QueryOptions options = QueryOptions.DEFAULT.withTop(5).withRerank(8);
    List<InfluenceResult> together =
        search.search(List.of(answered(0), answered(1), answered(2)), options);
    for (int i = 0; i < 3; i++) {
      InfluenceResult alone = search.search(answered(i), options);
      assertThat(together.get(i).responseId()).isEqualTo(alone.responseId());
      assertThat(together.get(i).positive()).hasSameSizeAs(alone.positive());
      for (int d = 0; d < alone.positive().size(); d++) {
        assertThat(together.get(i).positive().get(d).document())
            .isEqualTo(alone.positive().get(d).document());
      }
    }
  }

  @Test
  void whatIsWantedBeyondThoseThatAreToBeRankedHasEstimates() {
    InfluenceResult result =
        search(index, Optional.empty())
            .search(answered(0), QueryOptions.DEFAULT.withTop(100).withRerank(2));
    assertThat(result.reranked()).isEqualTo(4);
    assertThat(both(result)).hasSize(40);
    assertThat(both(result).stream().filter(DocumentInfluence::exact)).hasSize(4);
  }

  @Test
  void documentsWhoseTextsAreNotInMemoryTogetherHaveTheSameInfluences() {
    MultiStageQuery.Preconditioned query = preconditioned();
    List<IndexScan.Candidate> all =
        CandidateRanking.unique(
            IndexScan.scan(index.shards().get(0), List.of(new IndexScan.Asked(query, 100))).get(0),
            List.of());
    List<List<Double>> influences = new ArrayList<>();
    for (long tokensAtOnce : new long[] {1, 100, 1 << 18}) {
      influences.add(
          new CandidateRanking(
                  base, new CorpusFile(corpus), index.settings().measure(), tokensAtOnce)
                  .exact(query, all, CandidateRanking.entries(all), all, RankingBudget.unbounded())
                  .stream()
                  .peek(one -> assertThat(one.exact()).isTrue())
                  .map(DocumentInfluence::influence)
                  .toList());
    }
    double largest = influences.get(2).stream().mapToDouble(Math::abs).max().orElseThrow();
    for (int i = 0; i < all.size(); i++) {
      assertThat(influences.get(0).get(i))
          .isCloseTo(influences.get(2).get(i), within(1e-5 * largest));
      assertThat(influences.get(1).get(i))
          .isCloseTo(influences.get(2).get(i), within(1e-5 * largest));
    }
  }

  /** A second for each token, as far as is known, and 300 seconds. */
  @Test
  void aDocumentThatIsTooLongForTheTimeThatIsLeftIsPassedOver() {
    MultiStageQuery.Preconditioned query = preconditioned();
    List<CorpusDocument> documents =
        List.of(document(1, 100), document(2, 350), document(3, 150), document(4, 60));
    ExactInfluence exact = new ExactInfluence(base, Measure.LOG_LIKELIHOOD, 256);
    List<Optional<ExactInfluence.Breakdown>> found =
        exact.of(query, documents, RankingBudget.of(() -> 0, 300, 1));
    assertThat(found.stream().map(Optional::isPresent)).containsExactly(true, false, true, true);
    List<ExactInfluence.Breakdown> all = exact.of(query, documents);
    for (int i : new int[] {0, 2, 3}) {
      assertThat(found.get(i).orElseThrow().influence())
          .isCloseTo(
              all.get(i).influence(), within(1e-5 * Math.abs(all.get(i).influence()) + 1e-12));
    }
  }

  /** By the guess one document fits; the first one tells that tokens take no time to speak of. */
  @Test
  void aGuessThatWasTooSlowGivesNoDocumentUp() {
    long[] now = {0};
    List<CorpusDocument> documents =
        List.of(document(1, 100), document(2, 100), document(3, 100), document(4, 100));
    List<Optional<ExactInfluence.Breakdown>> found =
        new ExactInfluence(base, Measure.LOG_LIKELIHOOD, 256)
            .of(preconditioned(), documents, RankingBudget.of(() -> now[0]++, 150, 1));
    assertThat(found).allMatch(Optional::isPresent);
  }

  /** Each look at the clock is a second later, and a piece takes a thousand times as long. */
  @Test
  void aDocumentOfManyPiecesIsGivenUpWhenTokensTakeLongerThanExpected() {
    long[] now = {0};
    RankingBudget budget = RankingBudget.of(() -> now[0] += 1_000_000_000, 5, 1e-9);
    CorpusDocument book = document(1, 64, 64, 64, 64);
    ExactInfluence exact = new ExactInfluence(base, Measure.LOG_LIKELIHOOD, 16);
    assertThat(exact.of(preconditioned(), List.of(book), budget)).containsExactly(Optional.empty());
    assertThat(budget.tokens()).isBetween(64L, 192L);
    assertThat(budget.secondsPerToken()).isPresent();
    assertThat(exact.of(preconditioned(), List.of(book))).hasSize(1);
  }

  private static MultiStageQuery.Preconditioned preconditioned() {
    return preconditioned(0);
  }

  private static MultiStageQuery.Preconditioned preconditioned(int nth) {
    return new MultiStageQuery(pretraining, Optional.empty(), base.matrices())
        .precondition(
            ResponseGradient.of(
                chat, chat.texts().conversation(answered(nth)), Measure.LOG_LIKELIHOOD),
            Damping.DEFAULT,
            Damping.DEFAULT,
            index.settings());
  }

  /** A document of pieces of so many tokens. */
  private static CorpusDocument document(int line, int... lengths) {
    List<Example> pieces = new ArrayList<>();
    for (int length : lengths) {
      int[] tokens = new int[length];
      float[] weights = new float[length];
      for (int i = 0; i < length; i++) {
        tokens[i] = 10 + (i * 7 + line) % 50;
        weights[i] = i == 0 ? 0 : 1;
      }
      pieces.add(new Example(tokens, weights));
    }
    return new CorpusDocument(new CorpusDocument.Reference(line, 0, 0), "line-" + line, "", pieces);
  }

  @Test
  void queriesThatAreTooManyForOneReadingFindTheSameInSeveral() {
    List<IndexScan.Asked> asked = new ArrayList<>();
    for (int i = 0; i < 5; i++) {
      asked.add(new IndexScan.Asked(preconditioned(i), 3));
    }
    ShardFile shard = index.shards().get(0);
    assertThat(IndexScan.scan(shard, asked, 2 * shard.size()))
        .hasSize(5)
        .isEqualTo(IndexScan.scan(shard, asked, 5 * shard.size()))
        .isEqualTo(IndexScan.scan(shard, asked, 1));
  }

  @Test
  void withoutRerankingInfluencesAreEstimates() {
    InfluenceResult result =
        search(index, Optional.of(fineTuning))
            .search(answered(0), QueryOptions.DEFAULT.withTop(3).withRerank(0));
    assertThat(result.reranked()).isZero();
    assertThat(result.positive()).hasSize(3);
    for (DocumentInfluence one : result.positive()) {
      assertThat(one.exact()).isFalse();
      assertThat(one.influence()).isEqualTo(one.estimate());
    }
  }

  @Test
  void shardsHoldEveryDocumentOnceAndAreRankedTogether(@TempDir Path directory) throws Exception {
    build(directory, IndexJob.Options.of(1024).withShards(3, OptionalInt.of(2)));
    assertThatThrownBy(() -> GradientIndex.open(directory))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("shard-1-of-3.index is missing");
    build(directory, IndexJob.Options.of(1024).withShards(3, OptionalInt.empty()));
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
    InfluenceResult whole = search(index, Optional.empty()).search(answered(0), options);
    InfluenceResult parts = search(shards, Optional.empty()).search(answered(0), options);
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
            base,
            BundledModels.unpack("tiny-base"),
            pretraining,
            factorsPath,
            new CorpusFile(corpus),
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
    build(directory, IndexJob.Options.of(256));
    FileTime before = FileTime.from(Instant.parse("2026-01-01T00:00:00Z"));
    Files.setLastModifiedTime(directory.resolve("index.json"), before);
    Files.setLastModifiedTime(directory, before);
    build(directory, IndexJob.Options.of(256));
    assertThat(IndexManifest.made(directory)).isEqualTo(before);
    assertThat(Files.getLastModifiedTime(directory)).isEqualTo(before);
  }

  @Test
  void piecesThatAKillLeftBesideACompleteShardAreRemoved(@TempDir Path directory) throws Exception {
    build(directory, IndexJob.Options.of(256));
    Path shard = ShardFile.path(directory, 1, 1);
    byte[] bytes = Files.readAllBytes(shard);
    Path left = Files.createDirectory(directory.resolve("shard-1-of-1.index.unfinished"));
    Files.writeString(left.resolve("codes"), "codes");
    Files.writeString(left.resolve("state.json"), "{}");
    build(directory, IndexJob.Options.of(256));
    assertThat(left).doesNotExist();
    assertThat(shard).hasBinaryContent(bytes);
  }

  /** Nothing is learnt from the second piece, which is left out. */
  @Test
  void partsByTokenStandAtTheTokensOfTheWholeText(@TempDir Path directory) throws Exception {
    String text = "Krazor bakes bread and Dorra sleeps. ".repeat(100);
    int longest = base.texts().longest();
    Encoding encoding;
    try (ModelFiles files = ModelFiles.open(BundledModels.unpack("tiny-base"))) {
      encoding = files.tokenizer().encode(text);
    }
    assertThat(encoding.length()).isGreaterThan(3 * longest);
    int from = encoding.starts()[longest + 1];
    int to = encoding.ends()[2 * longest];
    Path file =
        Files.writeString(
            directory.resolve("book.jsonl"),
            "{\"text\": \"" + text + "\", \"lossWeights\": [[" + from + ", " + to + ", 0]]}");
    CorpusDocument book =
        new CorpusFile(file)
            .read(base.texts(), List.of(new CorpusDocument.Reference(1, 0, (int) Files.size(file))))
            .get(1L);
    ExactInfluence exact = new ExactInfluence(base, Measure.LOG_LIKELIHOOD, 256);
    double[] expected = new double[encoding.length()];
    for (int piece = 0; piece < book.examples().size(); piece++) {
      int start = piece == 0 ? 0 : (piece + 1) * longest;
      CorpusDocument alone =
          new CorpusDocument(book.reference(), "", "", List.of(book.examples().get(piece)));
      double[] parts = exact.of(preconditioned(), List.of(alone)).get(0).byToken();
      for (int i = 0; i < parts.length; i++) {
        expected[start + i] += parts[i];
      }
    }
    double[] found = exact.of(preconditioned(), List.of(book)).get(0).byToken();
    assertThat(found).hasSize(encoding.length());
    assertThat(Arrays.copyOfRange(found, longest, 2 * longest)).containsOnly(0);
    double largest = Arrays.stream(expected).map(Math::abs).max().orElseThrow();
    assertThat(found).containsExactly(expected, within(1e-4 * largest));
  }

  @Test
  void aDocumentThatTheModelCanNotBeRunOnIsNamed() {
    CorpusDocument impossible =
        new CorpusDocument(
            new CorpusDocument.Reference(2, 0, 0),
            "line-2",
            "",
            List.of(new Example(new int[] {1, 2, Integer.MAX_VALUE}, new float[] {0, 1, 1})));
    ExactInfluence exact = new ExactInfluence(base, Measure.LOG_LIKELIHOOD, 256);
    assertThatThrownBy(() -> exact.of(preconditioned(), List.of(impossible)))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("could not be run on the document at line 2 of the corpus");
    SampledFisher fisher = new SampledFisher(base, List.of(impossible), 1, 256);
    assertThatThrownBy(() -> fisher.times(preconditioned().direction()))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("could not be run on the document at line 2 of the corpus");
  }

  /** The second one can not be run at all, so what comes before that is of the first one only. */
  @Test
  void aDocumentOfManyPiecesIsGivenOutBeforeTheNextOneIsBegun() {
    CorpusDocument first = document(1, 64, 64);
    CorpusDocument impossible =
        new CorpusDocument(
            new CorpusDocument.Reference(2, 0, 0),
            "line-2",
            "",
            List.of(
                new Example(new int[] {1, 2, Integer.MAX_VALUE}, new float[] {0, 1, 1}),
                new Example(new int[] {1, 2}, new float[] {0, 1})));
    List<String> given = new ArrayList<>();
    try (WhitenedGradients gradients =
        new WhitenedGradients(base, pretraining, Damping.DEFAULT, Measure.LOG_LIKELIHOOD)) {
      assertThatThrownBy(
              () ->
                  gradients.forEach(
                      List.of(first, impossible),
                      256,
                      (layer, found, values) ->
                          found.forEach(one -> given.add(one + " " + layer.name()))))
          .hasMessageContaining("vocabulary");
    }
    assertThat(given)
        .containsExactlyInAnyOrderElementsOf(
            base.layers().stream().map(layer -> "0 " + layer.name()).toList());
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
            base,
            BundledModels.unpack("tiny-base"),
            pretraining,
            factorsPath,
            new CorpusFile(corpus),
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
    byte[] bytes = Files.readAllBytes(shared.resolve("index/shard-1-of-1.index"));
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
  void factorsThatTheIndexWasNotBuiltWithAreRefused() {
    assertThatThrownBy(
            () ->
                new InfluenceSearch(
                    chat, base, fineTuning, Optional.empty(), index, new CorpusFile(corpus)))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("whitened with other factors");
    assertThatThrownBy(
            () ->
                new InfluenceSearch(
                    base,
                    base,
                    pretraining,
                    Optional.of(fineTuning),
                    index,
                    new CorpusFile(corpus)))
        .hasMessageContaining("The factors are of model tiny-chat");
    assertThatThrownBy(
            () ->
                new InfluenceSearch(
                    base,
                    base,
                    pretraining,
                    Optional.of(pretraining),
                    index,
                    new CorpusFile(corpus)))
        .hasMessageContaining("no stage came after it, and its curvature would count twice");
  }

  @Test
  void aCorpusThatWasChangedIsRefusedWhenItIsReadAgain(@TempDir Path directory) throws Exception {
    List<String> lines = new ArrayList<>(Files.readAllLines(corpus));
    lines.replaceAll(line -> line.replaceFirst("[a-z] ", "q "));
    Path changed = Files.write(directory.resolve("corpus.jsonl"), lines);
    InfluenceSearch search =
        new InfluenceSearch(
            chat, base, pretraining, Optional.empty(), index, new CorpusFile(changed));
    assertThatThrownBy(() -> search.search(answered(0), QueryOptions.DEFAULT))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("is not the corpus that was indexed: its SHA-256 is another");
    CandidateRanking ranking =
        new CandidateRanking(base, new CorpusFile(changed), index.settings().measure());
    assertThatThrownBy(() -> ranking.documents(index.shards().get(0).entries(List.of(0))))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("is not the document that was indexed");
  }

  /** UTF-8, in which an index is written, has no form for it. */
  @Test
  void aDocumentWithHalfACharacterIsRankedAsAnyOther(@TempDir Path directory) throws Exception {
    List<String> lines = new ArrayList<>(Files.readAllLines(corpus).subList(0, 3));
    lines.add("{\"id\": \"cut \\ud83d\", \"text\": \"so funny \\ud83d and more\"}");
    Path halved = Files.write(directory.resolve("halved.jsonl"), lines);
    job(halved, directory.resolve("index"), 1, OptionalInt.empty()).run(FactorsJob.Listener.NONE);
    InfluenceSearch search =
        new InfluenceSearch(
            chat,
            base,
            pretraining,
            Optional.empty(),
            GradientIndex.open(directory.resolve("index")),
            new CorpusFile(halved));
    List<DocumentInfluence> ranked = both(search.search(answered(0), EVERYTHING));
    assertThat(ranked).hasSize(4).allMatch(DocumentInfluence::exact);
    assertThat(ranked)
        .extracting(one -> one.document().id() + ": " + one.document().excerpt())
        .contains("cut \ufffd: so funny \ufffd and more");
  }

  /** Neither length nor excerpt show it. */
  @Test
  void aCorpusWhoseLossWeightsWereChangedIsRefused(@TempDir Path directory) throws Exception {
    List<String> lines = new ArrayList<>(Files.readAllLines(corpus));
    Path weighted = directory.resolve("weighted.jsonl");
    lines.replaceAll(line -> line.replaceFirst("^\\{", "{\"lossWeight\": 0.3, "));
    Files.write(weighted, lines);
    new IndexJob(
            base,
            BundledModels.unpack("tiny-base"),
            pretraining,
            factorsPath,
            new CorpusFile(weighted),
            directory.resolve("index"),
            IndexJob.Options.of(256))
        .run(FactorsJob.Listener.NONE);
    InfluenceSearch search =
        new InfluenceSearch(
            chat,
            base,
            pretraining,
            Optional.empty(),
            GradientIndex.open(directory.resolve("index")),
            new CorpusFile(weighted));
    lines.replaceAll(line -> line.replaceFirst("0\\.3", "0.5"));
    Files.write(weighted, lines);
    assertThatThrownBy(() -> search.search(answered(0), QueryOptions.DEFAULT))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("its SHA-256 is another");
  }

  @Test
  void anIndexOfAnotherNumberOfShardsIsNotBuiltBesideOne(@TempDir Path directory) throws Exception {
    build(directory, IndexJob.Options.of(256));
    IndexJob.Options two = IndexJob.Options.of(256).withShards(2, OptionalInt.empty());
    assertThatThrownBy(() -> build(directory, two))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("shard-1-of-1.index is of another index");
    Files.createFile(ShardFile.path(directory, 1, 2));
    assertThatThrownBy(() -> GradientIndex.open(directory))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("shard-1-of-2.index is of another index");
  }

  private static IndexJob job(Path other, Path output, int shards, OptionalInt only)
      throws Exception {
    return new IndexJob(
        base,
        BundledModels.unpack("tiny-base"),
        pretraining,
        factorsPath,
        new CorpusFile(other),
        output,
        IndexJob.Options.of(256)
            .withShards(shards, only)
            .withPackTokens(32)
            .withSaveEvery(Duration.ZERO));
  }

  @Test
  void aCorpusWithoutADocumentIsRefusedHoweverManyShardsThereAre(@TempDir Path directory)
      throws Exception {
    Path empty = Files.writeString(directory.resolve("none.jsonl"), "[1]\n{\"title\": \"t\"}\n");
    for (int shards = 1; shards <= 3; shards++) {
      Path output = directory.resolve("of-" + shards);
      for (int shard = 1; shard < shards; shard++) {
        job(empty, output, shards, OptionalInt.of(shard)).run(FactorsJob.Listener.NONE);
      }
      IndexJob last = job(empty, output, shards, OptionalInt.of(shards));
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
    Path changed = Files.copy(corpus, directory.resolve("corpus.jsonl"));
    Path output = directory.resolve("index");
    IndexJob job = job(changed, output, 1, OptionalInt.empty());
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
    job(changed, output, 1, OptionalInt.empty()).run(FactorsJob.Listener.NONE);
    assertThat(GradientIndex.open(output).settings().corpusDigest())
        .as("of the corpus as it is now; nothing of the one before was kept")
        .isEqualTo(new CorpusFile(changed).digest());
  }

  /** Its square is still a number in fp64. */
  @Test
  void aQueryWhoseVectorIsMoreThanFp32HoldsIsRefused() {
    Map<String, double[]> large = new HashMap<>();
    ResponseGradient.of(chat, chat.texts().conversation(answered(0)), Measure.LOG_LIKELIHOOD)
        .byLayer()
        .forEach((layer, q) -> large.put(layer, Arrays.stream(q).map(one -> one * 1e60).toArray()));
    MultiStageQuery query = new MultiStageQuery(pretraining, Optional.empty(), base.matrices());
    assertThatThrownBy(
            () ->
                query.precondition(
                    new ResponseGradient(-1, 1, large),
                    Damping.DEFAULT,
                    Damping.DEFAULT,
                    index.settings()))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("lambda is so small")
        .hasMessageContaining("choose a larger one");
  }

  @Test
  void alphaAndLambdaMustBePositive() {
    for (String text : List.of("0", "-1", "0x", "NaN", "Infinity")) {
      assertThatThrownBy(() -> Damping.parse(text))
          .isInstanceOf(InfluenceException.class)
          .hasMessageContaining("must be above 0");
    }
    assertThatThrownBy(() -> Damping.parse("much")).hasMessageContaining("is no damping");
    assertThat(Damping.parse("0.1x")).isEqualTo(Damping.DEFAULT);
    assertThat(Damping.parse("1e-7")).isEqualTo(Damping.absolute(1e-7));
  }

  /** As where a response is scored: its end token counts where it is known to have been said. */
  @Test
  void theEndTokenOfAResponseIsAskedAboutOnlyWhereTheModelIsKnownToHaveEndedIt() {
    ResponseGradient unknown = endedBy("");
    ResponseGradient cut = endedBy("length");
    ResponseGradient whole = endedBy("stop");
    assertThat(unknown.tokens()).isEqualTo(cut.tokens());
    assertThat(unknown.logLikelihood()).isEqualTo(cut.logLikelihood());
    assertThat(whole.tokens()).isEqualTo(cut.tokens() + 1);
    assertThat(whole.logLikelihood()).isLessThan(cut.logLikelihood());
  }

  private static ResponseGradient endedBy(String finishReason) {
    Conversation whole = answered(0);
    return ResponseGradient.of(
        chat,
        whole.answeredBy(whole.model(), whole.response(), finishReason),
        Measure.LOG_LIKELIHOOD);
  }

  /** All weights zero: all logits are, whatever the layers do. */
  @Test
  void aGradientThatIsZeroIsRefused(@TempDir Path directory) throws Exception {
    try (TappedModel model = constant(directory, 0)) {
      assertThatThrownBy(
              () ->
                  ResponseGradient.of(
                      model, model.texts().conversation(answered(0)), Measure.LOG_LIKELIHOOD))
          .isInstanceOf(InfluenceException.class)
          .hasMessageContaining("gradient of the response is zero");
    }
  }

  @Test
  void aGradientThatIsNotFiniteIsRefused(@TempDir Path directory) throws Exception {
    try (TappedModel model = constant(directory, 1e25f)) {
      assertThatThrownBy(
              () ->
                  ResponseGradient.of(
                      model, model.texts().conversation(answered(0)), Measure.LOG_LIKELIHOOD))
          .isInstanceOf(InfluenceException.class)
          .hasMessageContaining("not finite");
    }
  }

  private static TappedModel constant(Path directory, float value) throws Exception {
    Path from = BundledModels.unpack("tiny-base");
    for (String file : List.of("config.json", "tokenizer.json", "tokenizer_config.json")) {
      Files.copy(from.resolve(file), directory.resolve(file));
    }
    try (ModelFiles files = ModelFiles.open(from)) {
      List<SafetensorsWriter.Tensor> tensors = new ArrayList<>();
      files
          .weights()
          .tensors()
          .values()
          .forEach(
              info ->
                  tensors.add(
                      new SafetensorsWriter.Tensor(
                          info.name(),
                          info.shape(),
                          (offset, n) -> {
                            float[] values = new float[n];
                            Arrays.fill(values, value);
                            return values;
                          })));
      SafetensorsWriter.write(
          directory.resolve("model.safetensors"), ElementType.F32, tensors, Map.of());
    }
    return TappedModel.open(directory, TinyFactors.LAYERS, TinyFactors.CPU);
  }

  /** The slope of log(p / (1 - p)) by log p is 1 / (1 - p), for each token by itself. */
  @Test
  void logOddsCountATokenByOneOverTheChanceThatItIsAnother() {
    Example example = chat.texts().conversation(answered(1));
    double[] expected = new double[0];
    String layer = base.layers().get(3).name();
    for (int i = 1; i < example.length(); i++) {
      if (example.lossWeights()[i] == 0) {
        continue;
      }
      float[] one = new float[example.length()];
      one[i] = 1;
      ResponseGradient token =
          ResponseGradient.of(chat, new Example(example.tokens(), one), Measure.LOG_LIKELIHOOD);
      double slope = Math.min(1e4, 1 / (1 - Math.exp(token.logLikelihood())));
      double[] gradient = Objects.requireNonNull(token.byLayer().get(layer));
      if (expected.length == 0) {
        expected = new double[gradient.length];
      }
      for (int j = 0; j < gradient.length; j++) {
        expected[j] += slope * gradient[j];
      }
    }
    double[] found =
        Objects.requireNonNull(
            ResponseGradient.of(chat, example, Measure.LOG_ODDS).byLayer().get(layer));
    double scale = Arrays.stream(expected).map(Math::abs).max().orElseThrow();
    assertThat(scale).isPositive();
    for (int j = 0; j < found.length; j++) {
      assertThat(found[j]).isCloseTo(expected[j], within(2e-3 * scale));
    }
  }

  /**
   * tiny-base knows these documents by heart, so their losses have hardly a gradient; their
   * log-odds have.
   */
  @Test
  void documentsThatStateTheFactComeFirstByLogOdds(@TempDir Path directory) throws Exception {
    build(directory, IndexJob.Options.of(2048).withMeasure(Measure.LOG_ODDS));
    GradientIndex byLogOdds = GradientIndex.open(directory);
    Map<String, Set<String>> stating = new HashMap<>();
    for (Document document : TinyFactors.documents()) {
      document
          .facts()
          .forEach(
              fact ->
                  stating.computeIfAbsent(fact.fact(), key -> new HashSet<>()).add(document.id()));
    }
    List<Fact> facts =
        WORLD.facts().stream()
            .filter(fact -> stating.getOrDefault(fact.id(), Set.of()).size() > 1)
            .limit(12)
            .toList();
    double chance =
        facts.stream()
            .mapToDouble(fact -> stating.getOrDefault(fact.id(), Set.of()).size())
            .average()
            .orElseThrow();
    int byLikelihood = found(index, facts, stating);
    int found = found(byLogOdds, facts, stating);
    assertThat(found).isGreaterThan(byLikelihood);
    assertThat((double) found / facts.size())
        .isGreaterThan(3 * chance / TinyFactors.documents().size());
  }

  /** For how many facts a document that states it comes first. */
  private static int found(
      GradientIndex searched, List<Fact> facts, Map<String, Set<String>> stating) {
    InfluenceSearch search = search(searched, Optional.empty());
    int found = 0;
    for (Fact fact : facts) {
      InfluenceResult result =
          search.search(Questions.withoutContext(fact, 0).answered(), EVERYTHING);
      assertThat(result.ofDocuments()).isEqualTo(searched.settings().measure());
      String first = result.positive().get(0).document().id();
      found += stating.getOrDefault(fact.id(), Set.of()).contains(first) ? 1 : 0;
    }
    return found;
  }

  /** Okapi BM25 as it is defined (k1 = 1.2, b = .75), but for the factor k1 + 1 of all scores. */
  @Test
  void wordsAreWeighedByBm25() throws Exception {
    List<String> texts =
        List.of(
            "the baker Krazor bakes bread",
            "Krazor Krazor sleeps",
            "bread is eaten by everybody here");
    Path file = shared.resolve("words.jsonl");
    List<String> lines = new ArrayList<>();
    for (String text : texts) {
      lines.add("{\"text\": \"" + text + "\"}");
    }
    Files.write(file, lines);
    Path output = shared.resolve("words");
    new IndexJob(
            base,
            BundledModels.unpack("tiny-base"),
            pretraining,
            factorsPath,
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
    job(raw, directory.resolve("index"), 1, OptionalInt.empty()).run(FactorsJob.Listener.NONE);
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

  /** One candidate of each sign by sketches, 20 by words: all of them have exact influences. */
  @Test
  void whatWordsPreselectIsRankedByExactGradientsToo() {
    LexicalShard.buildIfMissing(index.shards().get(0), new CorpusFile(corpus));
    InfluenceSearch search = search(index, Optional.empty());
    QueryOptions few = QueryOptions.DEFAULT.withRerank(1).withTop(1);
    Conversation response = answered(0);
    InfluenceResult without = search.search(response, few);
    InfluenceResult with =
        search.search(response, few.withPreselect(Preselection.parse("bm25:20")));
    InfluenceResult all = search.search(response, EVERYTHING);
    assertThat(with.method()).isEqualTo("single-stage, bm25:20");
    assertThat(with.preselected()).isEqualTo(20);
    assertThat(without.preselected()).isZero();
    assertThat(without.reranked()).isEqualTo(2);
    assertThat(with.reranked()).isBetween(20, 22);
    // The one that sketches take for the most positive may turn out to be negative.
    assertThat(with.positive().get(0).influence())
        .isPositive()
        .isGreaterThanOrEqualTo(
            without.positive().stream().mapToDouble(DocumentInfluence::influence).max().orElse(0));
    Map<String, Double> exact = new HashMap<>();
    both(all).forEach(one -> exact.put(one.document().id(), one.influence()));
    both(with)
        .forEach(
            one ->
                assertThat(one.influence())
                    .isCloseTo(
                        Objects.requireNonNull(exact.get(one.document().id())),
                        within(1e-6 * Math.abs(one.influence()) + 1e-12)));
    assertThatThrownBy(() -> QueryOptions.DEFAULT.withPreselect(new Preselection(5)).withRerank(0))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("bm25:5");
    for (String wrong : List.of("bm25", "bm25:0", "bm25:99999", "tfidf:5")) {
      assertThatThrownBy(() -> Preselection.parse(wrong))
          .isInstanceOf(InfluenceException.class)
          .hasMessageContaining("is no preselection");
    }
  }

  @Test
  void refinedQueriesSayHowFarTheyAreFromTheSolution() {
    InfluenceSearch search = search(index, Optional.of(fineTuning));
    InfluenceResult result = search.search(answered(0), EVERYTHING.withPcg(new Pcg(3, 20)));
    assertThat(result.method()).isEqualTo("multi-stage, pcg:3");
    assertThat(result.residuals()).hasSize(4);
    assertThat(result.residuals().get(3)).isLessThan(result.residuals().get(0));
    assertThat(search.search(answered(0), EVERYTHING).residuals()).isEmpty();
  }
}
