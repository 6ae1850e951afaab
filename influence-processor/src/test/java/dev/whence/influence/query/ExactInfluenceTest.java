package dev.whence.influence.query;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.text.Encoding;
import dev.whence.engine.training.Example;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.corpus.CorpusDocument;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.ekfac.SampledFisher;
import dev.whence.influence.index.WhitenedGradients;
import dev.whence.influence.model.Measure;
import dev.whence.samples.BundledModels;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Gradients of documents one by one: in pieces, in groups, and within a budget of time. */
class ExactInfluenceTest {
  private static TinyIndex tiny;

  @BeforeAll
  static void open() throws Exception {
    tiny = TinyIndex.shared();
  }

  @Test
  void documentsWhoseTextsAreNotInMemoryTogetherHaveTheSameInfluences() {
    MultiStageQuery.Preconditioned query = tiny.preconditioned();
    List<IndexScan.Candidate> all =
        CandidateRanking.unique(
            IndexScan.scan(tiny.index.shards().get(0), List.of(new IndexScan.Asked(query, 100)))
                .get(0),
            List.of());
    List<List<Double>> influences = new ArrayList<>();
    for (long tokensAtOnce : new long[] {1, 100, 1 << 18}) {
      influences.add(
          new CandidateRanking(
                  tiny.base,
                  new CorpusFile(tiny.corpus),
                  tiny.index.settings().measure(),
                  tokensAtOnce)
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

  /** Nothing is learnt from the second piece, which is left out. */
  @Test
  void partsByTokenStandAtTheTokensOfTheWholeText(@TempDir Path directory) throws Exception {
    String text = "Krazor bakes bread and Dorra sleeps. ".repeat(100);
    int longest = tiny.base.texts().longest();
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
            .read(
                tiny.base.texts(),
                List.of(new CorpusDocument.Reference(1, 0, (int) Files.size(file))))
            .get(1L);
    ExactInfluence exact = new ExactInfluence(tiny.base, Measure.LOG_LIKELIHOOD, 256);
    double[] expected = new double[encoding.length()];
    for (int piece = 0; piece < book.examples().size(); piece++) {
      int start = piece == 0 ? 0 : (piece + 1) * longest;
      CorpusDocument alone =
          new CorpusDocument(book.reference(), "", "", List.of(book.examples().get(piece)));
      double[] parts = exact.of(tiny.preconditioned(), List.of(alone)).get(0).byToken();
      for (int i = 0; i < parts.length; i++) {
        expected[start + i] += parts[i];
      }
    }
    double[] found = exact.of(tiny.preconditioned(), List.of(book)).get(0).byToken();
    assertThat(found).hasSize(encoding.length());
    assertThat(Arrays.copyOfRange(found, longest, 2 * longest)).containsOnly(0);
    double largest = Arrays.stream(expected).map(Math::abs).max().orElseThrow();
    assertThat(found).containsExactly(expected, within(1e-4 * largest));
  }

  /** A second for each token, as far as is known, and 300 seconds. */
  @Test
  void aDocumentThatIsTooLongForTheTimeThatIsLeftIsPassedOver() {
    MultiStageQuery.Preconditioned query = tiny.preconditioned();
    List<CorpusDocument> documents =
        List.of(document(1, 100), document(2, 350), document(3, 150), document(4, 60));
    ExactInfluence exact = new ExactInfluence(tiny.base, Measure.LOG_LIKELIHOOD, 256);
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
        new ExactInfluence(tiny.base, Measure.LOG_LIKELIHOOD, 256)
            .of(tiny.preconditioned(), documents, RankingBudget.of(() -> now[0]++, 150, 1));
    assertThat(found).allMatch(Optional::isPresent);
  }

  /** Each look at the clock is a second later, and a piece takes a thousand times as long. */
  @Test
  void aDocumentOfManyPiecesIsGivenUpWhenTokensTakeLongerThanExpected() {
    long[] now = {0};
    RankingBudget budget = RankingBudget.of(() -> now[0] += 1_000_000_000, 5, 1e-9);
    CorpusDocument book = document(1, 64, 64, 64, 64);
    ExactInfluence exact = new ExactInfluence(tiny.base, Measure.LOG_LIKELIHOOD, 16);
    assertThat(exact.of(tiny.preconditioned(), List.of(book), budget))
        .containsExactly(Optional.empty());
    assertThat(budget.tokens()).isBetween(64L, 192L);
    assertThat(budget.secondsPerToken()).isPresent();
    assertThat(exact.of(tiny.preconditioned(), List.of(book))).hasSize(1);
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
        new WhitenedGradients(
            tiny.base, tiny.pretraining, Damping.DEFAULT, Measure.LOG_LIKELIHOOD)) {
      assertThatThrownBy(
              () ->
                  gradients.forEach(
                      List.of(first, impossible),
                      256,
                      (layer, document, at, values) -> given.add(document + " " + layer.name())))
          .hasMessageContaining("vocabulary");
    }
    assertThat(given)
        .containsExactlyInAnyOrderElementsOf(
            tiny.base.layers().stream().map(layer -> "0 " + layer.name()).toList());
  }

  @Test
  void aDocumentThatTheModelCanNotBeRunOnIsNamed() {
    CorpusDocument impossible =
        new CorpusDocument(
            new CorpusDocument.Reference(2, 0, 0),
            "line-2",
            "",
            List.of(new Example(new int[] {1, 2, Integer.MAX_VALUE}, new float[] {0, 1, 1})));
    ExactInfluence exact = new ExactInfluence(tiny.base, Measure.LOG_LIKELIHOOD, 256);
    assertThatThrownBy(() -> exact.of(tiny.preconditioned(), List.of(impossible)))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("could not be run on the document at line 2 of the corpus");
    SampledFisher fisher = new SampledFisher(tiny.base, List.of(impossible), 1, 256);
    assertThatThrownBy(() -> fisher.times(tiny.preconditioned().direction()))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("could not be run on the document at line 2 of the corpus");
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
}
