package dev.whence.influence.query;

import static dev.whence.influence.query.TinyIndex.WORLD;
import static dev.whence.influence.query.TinyIndex.answered;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.conversation.Conversation;
import dev.whence.engine.kernel.Labels;
import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Matrix;
import dev.whence.engine.kernel.Taps;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.TinyFactors;
import dev.whence.influence.corpus.CorpusDocument;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.ekfac.FactorsJob;
import dev.whence.influence.index.GradientIndex;
import dev.whence.influence.index.IndexJob;
import dev.whence.influence.index.ShardFile;
import dev.whence.influence.lexical.LexicalShard;
import dev.whence.influence.lexical.Preselection;
import dev.whence.influence.model.Measure;
import dev.whence.samples.BundledModels;
import dev.whence.samples.Document;
import dev.whence.samples.Fact;
import dev.whence.samples.Questions;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Queries on an index: what comes first and by how much, by sketches, words and exact gradients.
 */
class InfluenceSearchTest {
  private static final QueryOptions EVERYTHING =
      QueryOptions.DEFAULT.withTop(100).withRerank(100).withBreakdown(true, true);

  private static TinyIndex tiny;

  @BeforeAll
  static void open() throws Exception {
    tiny = TinyIndex.shared();
  }

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
        new MultiStageQuery(tiny.pretraining, Optional.of(tiny.fineTuning), tiny.base.matrices())
            .precondition(
                ResponseGradient.of(
                    tiny.chat, tiny.chat.texts().conversation(response), Measure.LOG_LIKELIHOOD),
                Damping.DEFAULT,
                Damping.DEFAULT,
                tiny.index.settings());
    InfluenceResult result =
        tiny.search(tiny.index, Optional.of(tiny.fineTuning)).search(response, EVERYTHING);
    assertThat(result.method()).isEqualTo("multi-stage");
    assertThat(result.documents()).isEqualTo(40);
    assertThat(both(result)).hasSize(40);
    assertThat(result.positive())
        .isSortedAccordingTo((a, b) -> Double.compare(b.influence(), a.influence()));
    double largest = Math.abs(result.positive().get(0).influence());
    int within = 0;
    for (DocumentInfluence one : both(result)) {
      CorpusDocument document =
          new CorpusFile(tiny.corpus)
              .read(tiny.base.texts(), List.of(one.document().reference()))
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
    for (var pack : tiny.base.pack(document.examples(), 256)) {
      try (Taps taps = tiny.base.tap(pack, new Labels.Given())) {
        for (LinearLayer layer : tiny.base.layers()) {
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
    InfluenceResult single = tiny.search(tiny.index, Optional.empty()).search(response, EVERYTHING);
    InfluenceResult multi =
        tiny.search(tiny.index, Optional.of(tiny.fineTuning))
            .search(response, EVERYTHING.withAlpha(Damping.relative(1e9)));
    InfluenceResult small =
        tiny.search(tiny.index, Optional.of(tiny.fineTuning))
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
    InfluenceSearch search = tiny.search(tiny.index, Optional.of(tiny.fineTuning));
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
  void queriesThatAreTooManyForOneReadingFindTheSameInSeveral() {
    List<IndexScan.Asked> asked = new ArrayList<>();
    for (int i = 0; i < 5; i++) {
      asked.add(new IndexScan.Asked(tiny.preconditioned(i), 3));
    }
    ShardFile shard = tiny.index.shards().get(0);
    assertThat(IndexScan.scan(shard, asked, 2 * shard.size()))
        .hasSize(5)
        .isEqualTo(IndexScan.scan(shard, asked, 5 * shard.size()))
        .isEqualTo(IndexScan.scan(shard, asked, 1));
  }

  @Test
  void whatIsWantedBeyondThoseThatAreToBeRankedHasEstimates() {
    InfluenceResult result =
        tiny.search(tiny.index, Optional.empty())
            .search(answered(0), QueryOptions.DEFAULT.withTop(100).withRerank(2));
    assertThat(result.reranked()).isEqualTo(4);
    assertThat(both(result)).hasSize(40);
    assertThat(both(result).stream().filter(DocumentInfluence::exact)).hasSize(4);
  }

  @Test
  void withoutRerankingInfluencesAreEstimates() {
    InfluenceResult result =
        tiny.search(tiny.index, Optional.of(tiny.fineTuning))
            .search(answered(0), QueryOptions.DEFAULT.withTop(3).withRerank(0));
    assertThat(result.reranked()).isZero();
    assertThat(result.positive()).hasSize(3);
    for (DocumentInfluence one : result.positive()) {
      assertThat(one.exact()).isFalse();
      assertThat(one.influence()).isEqualTo(one.estimate());
    }
  }

  /**
   * tiny-base knows these documents by heart, so their losses have hardly a gradient; their
   * log-odds have.
   */
  @Test
  void documentsThatStateTheFactComeFirstByLogOdds(@TempDir Path directory) throws Exception {
    tiny.build(directory, IndexJob.Options.of(2048).withMeasure(Measure.LOG_ODDS));
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
    int byLikelihood = found(tiny.index, facts, stating);
    int found = found(byLogOdds, facts, stating);
    assertThat(found).isGreaterThan(byLikelihood);
    assertThat((double) found / facts.size())
        .isGreaterThan(3 * chance / TinyFactors.documents().size());
  }

  /** For how many facts a document that states it comes first. */
  private static int found(
      GradientIndex searched, List<Fact> facts, Map<String, Set<String>> stating) {
    InfluenceSearch search = tiny.search(searched, Optional.empty());
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

  /** One candidate of each sign by sketches, 20 by words: all of them have exact influences. */
  @Test
  void whatWordsPreselectIsRankedByExactGradientsToo() {
    LexicalShard.buildIfMissing(tiny.index.shards().get(0), new CorpusFile(tiny.corpus));
    InfluenceSearch search = tiny.search(tiny.index, Optional.empty());
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
    InfluenceSearch search = tiny.search(tiny.index, Optional.of(tiny.fineTuning));
    InfluenceResult result = search.search(answered(0), EVERYTHING.withPcg(new Pcg(3, 20)));
    assertThat(result.method()).isEqualTo("multi-stage, pcg:3");
    assertThat(result.residuals()).hasSize(4);
    assertThat(result.residuals().get(3)).isLessThan(result.residuals().get(0));
    assertThat(search.search(answered(0), EVERYTHING).residuals()).isEmpty();
  }

  /** UTF-8, in which an index is written, has no form for it. */
  @Test
  void aDocumentWithHalfACharacterIsRankedAsAnyOther(@TempDir Path directory) throws Exception {
    List<String> lines = new ArrayList<>(Files.readAllLines(tiny.corpus).subList(0, 3));
    lines.add("{\"id\": \"cut \\ud83d\", \"text\": \"so funny \\ud83d and more\"}");
    Path halved = Files.write(directory.resolve("halved.jsonl"), lines);
    tiny.job(halved, directory.resolve("index"), 1, OptionalInt.empty())
        .run(FactorsJob.Listener.NONE);
    InfluenceSearch search =
        new InfluenceSearch(
            tiny.chat,
            tiny.base,
            tiny.pretraining,
            Optional.empty(),
            GradientIndex.open(directory.resolve("index")),
            new CorpusFile(halved));
    List<DocumentInfluence> ranked = both(search.search(answered(0), EVERYTHING));
    assertThat(ranked).hasSize(4).allMatch(DocumentInfluence::exact);
    assertThat(ranked)
        .extracting(one -> one.document().id() + ": " + one.document().excerpt())
        .contains("cut \ufffd: so funny \ufffd and more");
  }

  @Test
  void factorsThatTheIndexWasNotBuiltWithAreRefused() {
    assertThatThrownBy(
            () ->
                new InfluenceSearch(
                    tiny.chat,
                    tiny.base,
                    tiny.fineTuning,
                    Optional.empty(),
                    tiny.index,
                    new CorpusFile(tiny.corpus)))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("whitened with other factors");
    assertThatThrownBy(
            () ->
                new InfluenceSearch(
                    tiny.base,
                    tiny.base,
                    tiny.pretraining,
                    Optional.of(tiny.fineTuning),
                    tiny.index,
                    new CorpusFile(tiny.corpus)))
        .hasMessageContaining("The factors are of model tiny-chat");
    assertThatThrownBy(
            () ->
                new InfluenceSearch(
                    tiny.base,
                    tiny.base,
                    tiny.pretraining,
                    Optional.of(tiny.pretraining),
                    tiny.index,
                    new CorpusFile(tiny.corpus)))
        .hasMessageContaining("no stage came after it, and its curvature would count twice");
  }

  @Test
  void aCorpusThatWasChangedIsRefusedWhenItIsReadAgain(@TempDir Path directory) throws Exception {
    List<String> lines = new ArrayList<>(Files.readAllLines(tiny.corpus));
    lines.replaceAll(line -> line.replaceFirst("[a-z] ", "q "));
    Path changed = Files.write(directory.resolve("corpus.jsonl"), lines);
    InfluenceSearch search =
        new InfluenceSearch(
            tiny.chat,
            tiny.base,
            tiny.pretraining,
            Optional.empty(),
            tiny.index,
            new CorpusFile(changed));
    assertThatThrownBy(() -> search.search(answered(0), QueryOptions.DEFAULT))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("is not the corpus that was indexed: its SHA-256 is another");
    CandidateRanking ranking =
        new CandidateRanking(tiny.base, new CorpusFile(changed), tiny.index.settings().measure());
    assertThatThrownBy(() -> ranking.documents(tiny.index.shards().get(0).entries(List.of(0))))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("is not the document that was indexed");
  }

  /** Neither length nor excerpt show it. */
  @Test
  void aCorpusWhoseLossWeightsWereChangedIsRefused(@TempDir Path directory) throws Exception {
    List<String> lines = new ArrayList<>(Files.readAllLines(tiny.corpus));
    Path weighted = directory.resolve("weighted.jsonl");
    lines.replaceAll(line -> line.replaceFirst("^\\{", "{\"lossWeight\": 0.3, "));
    Files.write(weighted, lines);
    new IndexJob(
            tiny.base,
            BundledModels.unpack("tiny-base"),
            tiny.pretraining,
            tiny.factorsPath,
            new CorpusFile(weighted),
            directory.resolve("index"),
            IndexJob.Options.of(256))
        .run(FactorsJob.Listener.NONE);
    InfluenceSearch search =
        new InfluenceSearch(
            tiny.chat,
            tiny.base,
            tiny.pretraining,
            Optional.empty(),
            GradientIndex.open(directory.resolve("index")),
            new CorpusFile(weighted));
    lines.replaceAll(line -> line.replaceFirst("0\\.3", "0.5"));
    Files.write(weighted, lines);
    assertThatThrownBy(() -> search.search(answered(0), QueryOptions.DEFAULT))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("its SHA-256 is another");
  }
}
