package dev.whence.influence.index;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.EngineException;
import dev.whence.engine.kernel.Labels;
import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Matrix;
import dev.whence.engine.kernel.Taps;
import dev.whence.engine.kernel.TorchRuntime;
import dev.whence.engine.training.Example;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.SampleCorpus;
import dev.whence.influence.TinyFactors;
import dev.whence.influence.compression.BiasedModel;
import dev.whence.influence.corpus.CorpusDocument;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.ekfac.FactorFiles;
import dev.whence.influence.ekfac.FactorsJob;
import dev.whence.influence.model.Measure;
import dev.whence.influence.model.TappedModel;
import dev.whence.influence.query.CandidateRanking;
import dev.whence.influence.query.ExactInfluence;
import dev.whence.influence.query.ResponseGradient;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.IntStream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Whitened gradients and their sketches, against each document's whole gradient turned in fp64: of
 * a model whose queries, keys and values have biases.
 */
class SketchedGradientsTest {
  private static final int PACK_TOKENS = 64;
  private static final BlockSketch SKETCH = new BlockSketch(512, 7);

  @TempDir private static Path shared;

  private static TappedModel model;
  private static Path factorsPath;
  private static Path biased;
  private static EkfacFactors factors;

  /** Short ones, one of several pieces and packs, one of one piece in the midst, a long one. */
  private static final List<CorpusDocument> DOCUMENTS =
      List.of(
          document(1, 12),
          document(2, 40, 50, 30, 9),
          document(3, 5),
          document(4, 30),
          document(5, 60),
          document(6, 20, 3),
          document(7, 17));

  @BeforeAll
  static void compute() throws Exception {
    biased = BiasedModel.write(shared.resolve("qwen2"), 0.5);
    model = TappedModel.open(biased, TinyFactors.LAYERS, TinyFactors.CPU);
    Path corpus =
        SampleCorpus.write(shared.resolve("corpus.jsonl"), TinyFactors.documents().subList(0, 10));
    factorsPath =
        TinyFactors.compute(model, corpus, shared.resolve("factors"), TinyFactors.OPTIONS);
    factors = EkfacFactors.read(factorsPath, model.matrices());
  }

  @AfterAll
  static void close() {
    factors.close();
    model.close();
  }

  private final int threads = TorchRuntime.threads();

  @AfterEach
  void asBefore() {
    TorchRuntime.workTogether(threads);
  }

  private static CorpusDocument document(int line, int... lengths) {
    List<Example> pieces = new ArrayList<>();
    for (int length : lengths) {
      int[] tokens = new int[length];
      float[] weights = new float[length];
      for (int i = 0; i < length; i++) {
        tokens[i] = 10 + (i * 7 + line * 13 + pieces.size()) % 50;
        weights[i] = i == 0 ? 0 : 1;
      }
      pieces.add(new Example(tokens, weights));
    }
    return new CorpusDocument(new CorpusDocument.Reference(line, 0, 0), "line-" + line, "", pieces);
  }

  /** By layer: Q_S' g Q_A / sqrt(Lambda + lambda0), the gradient summed over the pieces. */
  private static Map<String, double[]> expected(CorpusDocument document) {
    Map<String, double[]> sums = new LinkedHashMap<>();
    for (Example piece : document.examples()) {
      List<Example> sloped =
          model.sloped(List.of(piece), Measure.LOG_LIKELIHOOD, piece.tokens().length);
      try (Taps taps =
          model.tap(model.pack(sloped, piece.tokens().length).get(0), new Labels.Given())) {
        for (LinearLayer layer : factors.layers()) {
          try (Matrix g = taps.gradient(layer).transposedTimes(taps.input(layer))) {
            add(sums.computeIfAbsent(layer.name(), name -> new double[size(layer)]), g.doubles());
          }
        }
      }
    }
    Map<String, double[]> whitened = new LinkedHashMap<>();
    for (LinearLayer layer : factors.layers()) {
      double[] turned =
          factors.rotate(layer, Objects.requireNonNull(sums.get(layer.name())), model.matrices());
      double damping = Damping.DEFAULT.of(factors, layer);
      for (int i = 0; i < turned.length; i++) {
        turned[i] /= Math.sqrt(factors.lambda(layer)[i] + damping);
      }
      whitened.put(layer.name(), turned);
    }
    return whitened;
  }

  private static int size(LinearLayer layer) {
    return Math.toIntExact(layer.elements());
  }

  private static void add(double[] sum, double[] values) {
    for (int i = 0; i < sum.length; i++) {
      sum[i] += values[i];
    }
  }

  private static double norm(Map<String, double[]> vector) {
    double squares = 0;
    for (double[] values : vector.values()) {
      for (double value : values) {
        squares += value * value;
      }
    }
    return Math.sqrt(squares);
  }

  /** A row at a time, some, and a whole layer. */
  @ParameterizedTest
  @CsvSource({"1, 2", "1000, 1", "1000, 2", "1000000, 2"})
  void partsAreTheWholeGradientsTurnedAndDividedHoweverManyAreComputedTogether(
      int atOnce, int together) {
    TorchRuntime.workTogether(together);
    Set<String> names = ConcurrentHashMap.newKeySet();
    assertThat(factors.layers()).anyMatch(LinearLayer::bias);
    List<Map<String, float[]>> found = new ArrayList<>();
    DOCUMENTS.forEach(document -> found.add(new LinkedHashMap<>()));
    Set<Integer> firsts = ConcurrentHashMap.newKeySet();
    try (WhitenedGradients gradients =
        new WhitenedGradients(model, factors, Damping.DEFAULT, Measure.LOG_LIKELIHOOD, atOnce)) {
      gradients.forEach(
          DOCUMENTS,
          PACK_TOKENS,
          (layer, document, first, values) -> {
            float[] part = values.floats();
            float[] before =
                Objects.requireNonNullElse(found.get(document).get(layer.name()), new float[0]);
            assertThat(first).as("elements come in their order").isEqualTo(before.length);
            assertThat(part.length % layer.inputs()).isZero();
            if (DOCUMENTS.get(document).examples().size() == 1) {
              assertThat(part.length).isLessThanOrEqualTo(Math.max(atOnce, layer.inputs()));
            }
            float[] both = Arrays.copyOf(before, first + part.length);
            System.arraycopy(part, 0, both, first, part.length);
            found.get(document).put(layer.name(), both);
            firsts.add(first);
            names.add(Thread.currentThread().getName());
          });
    }
    assertThat(firsts.size() > 1).isEqualTo(atOnce < 1_000_000);
    assertThat(names.contains("side by side")).isEqualTo(together > 1);
    for (int d = 0; d < DOCUMENTS.size(); d++) {
      Map<String, double[]> expected = expected(DOCUMENTS.get(d));
      double tolerance = 1e-5 * norm(expected);
      assertThat(found.get(d).keySet()).isEqualTo(expected.keySet());
      for (LinearLayer layer : factors.layers()) {
        double[] wanted = Objects.requireNonNull(expected.get(layer.name()));
        float[] part = Objects.requireNonNull(found.get(d).get(layer.name()));
        for (int i = 0; i < wanted.length; i++) {
          assertThat((double) part[i])
              .as("document %d, %s, element %d", d, layer.name(), i)
              .isCloseTo(wanted[i], within(tolerance));
        }
      }
    }
  }

  /** Memory that does not suffice, too, which {@code SideBySide} does not throw by itself. */
  @Test
  void whatAThreadFailsWithIsThrown() {
    TorchRuntime.workTogether(2);
    AtomicReference<String> throwing = new AtomicReference<>("");
    EngineException memory = EngineException.outOfMemory("no room", new OutOfRoom());
    for (RuntimeException failure : List.of(memory, new IllegalStateException("broken"))) {
      try (WhitenedGradients gradients =
          new WhitenedGradients(model, factors, Damping.DEFAULT, Measure.LOG_LIKELIHOOD)) {
        assertThatThrownBy(
                () ->
                    gradients.forEach(
                        DOCUMENTS,
                        PACK_TOKENS,
                        (layer, document, first, values) -> {
                          if (document == 3) {
                            throwing.set(Thread.currentThread().getName());
                            throw failure;
                          }
                        }))
            .isSameAs(failure);
        assertThat(throwing.get()).isEqualTo("side by side");
      }
    }
  }

  /** As the native library says it. */
  private static final class OutOfRoom extends RuntimeException {
    private static final long serialVersionUID = 1;

    OutOfRoom() {
      super("DefaultCPUAllocator: not enough memory");
    }
  }

  @Test
  void sharesGoToWhoHasLeast() {
    List<Taps.Run> runs =
        List.of(new Taps.Run(0, 0, 10), new Taps.Run(1, 10, 110), new Taps.Run(2, 110, 150));
    WhitenedGradients.Shares shares = WhitenedGradients.Shares.of(runs, 2);
    assertThat(shares.all())
        .containsExactly(List.of(runs.get(1)), List.of(runs.get(2), runs.get(0)));
    assertThat(shares.costs()).containsExactly(100 + 64, 50 + 2 * 64);
    assertThat(shares.areWorthwhile(2)).isTrue();
    assertThat(WhitenedGradients.Shares.of(runs.subList(0, 1), 2).areWorthwhile(2)).isFalse();
    List<Taps.Run> uneven = List.of(new Taps.Run(0, 0, 900), new Taps.Run(1, 900, 910));
    assertThat(WhitenedGradients.Shares.of(uneven, 2).areWorthwhile(2)).isFalse();
    // ten documents on more threads: 164 beside 1,000 / 16 + 10 x 64
    List<Taps.Run> ten =
        IntStream.range(0, 10).mapToObj(i -> new Taps.Run(i, 100 * i, 100 * i + 100)).toList();
    assertThat(WhitenedGradients.Shares.of(ten, 16).areWorthwhile(16)).isTrue();
    // two long ones on many: 564 beside 1,000 / 16 + 2 x 64
    List<Taps.Run> two = List.of(new Taps.Run(0, 0, 500), new Taps.Run(1, 500, 1000));
    assertThat(WhitenedGradients.Shares.of(two, 16).areWorthwhile(16)).isFalse();
  }

  /** As going on with an index needs. */
  @Test
  void sketchesOfSeveralThreadsAreTheSameEachTime() {
    TorchRuntime.workTogether(2);
    try (SketchedGradients gradients = gradients(factors)) {
      List<SketchedGradients.Vector> first = gradients.of(DOCUMENTS, PACK_TOKENS);
      List<SketchedGradients.Vector> second = gradients.of(DOCUMENTS, PACK_TOKENS);
      for (int d = 0; d < first.size(); d++) {
        assertThat(second.get(d).sketch()).isEqualTo(first.get(d).sketch());
        assertThat(second.get(d).norm()).isEqualTo(first.get(d).norm());
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2})
  void sketchesAreThoseOfTheWholeVectorsWhetherThreadsShareThemOrNot(int threads) {
    TorchRuntime.workTogether(threads);
    try (SketchedGradients gradients = gradients(factors)) {
      List<SketchedGradients.Vector> vectors = gradients.of(DOCUMENTS, PACK_TOKENS);
      assertThat(vectors).hasSameSizeAs(DOCUMENTS);
      for (int d = 0; d < vectors.size(); d++) {
        Map<String, double[]> expected = expected(DOCUMENTS.get(d));
        float[] sketch = new float[SKETCH.buckets()];
        long first = 0;
        for (LinearLayer layer : factors.layers()) {
          double[] values = Objects.requireNonNull(expected.get(layer.name()));
          float[] rounded = new float[values.length];
          for (int i = 0; i < values.length; i++) {
            rounded[i] = (float) values[i];
          }
          SKETCH.add(rounded, first, sketch);
          first += layer.elements();
        }
        double norm = norm(expected);
        assertThat(vectors.get(d).norm()).isCloseTo(norm, within(1e-5 * norm));
        for (int i = 0; i < sketch.length; i++) {
          assertThat((double) vectors.get(d).sketch()[i]).isCloseTo(sketch[i], within(1e-4 * norm));
        }
      }
    }
  }

  @Test
  void anIndexIsTheSameWithEigenvectorsReadInSinglePrecision() {
    try (EkfacFactors single = EkfacFactors.readInSingle(factorsPath, model.matrices());
        SketchedGradients of = gradients(factors);
        SketchedGradients ofSingle = gradients(single)) {
      List<SketchedGradients.Vector> expected = of.of(DOCUMENTS, PACK_TOKENS);
      List<SketchedGradients.Vector> found = ofSingle.of(DOCUMENTS, PACK_TOKENS);
      for (int d = 0; d < expected.size(); d++) {
        assertThat(found.get(d).sketch()).containsExactly(expected.get(d).sketch());
        assertThat(found.get(d).norm()).isEqualTo(expected.get(d).norm());
      }
    }
  }

  /** Bits of an index differ by rounding, where the noise of a sketch is far larger. */
  @ParameterizedTest
  @EnumSource(Measure.class)
  void vectorsOfRoundedProductsPointTheSameWay(Measure measure) {
    try (TappedModel rounded =
            TappedModel.openRounded(biased, TinyFactors.LAYERS, TinyFactors.CPU);
        FactorFiles files = FactorFiles.open(factorsPath);
        EkfacFactors own = files.like(rounded);
        SketchedGradients ofRounded = gradients(rounded, own, measure);
        SketchedGradients of = gradients(model, factors, measure)) {
      assertThat(rounded.isRounded()).isTrue();
      assertThat(model.isRounded()).isFalse();
      assertThat(own.inputVectors(rounded.layers().get(0)).isRounded()).isTrue();
      List<SketchedGradients.Vector> expected = of.of(DOCUMENTS, PACK_TOKENS);
      List<SketchedGradients.Vector> found = ofRounded.of(DOCUMENTS, PACK_TOKENS);
      for (int d = 0; d < expected.size(); d++) {
        double norm = expected.get(d).norm();
        assertThat(found.get(d).norm()).isCloseTo(norm, within(.03 * norm));
        assertThat(cosine(found.get(d).sketch(), expected.get(d).sketch())).isBetween(.99, .999999);
      }
    }
  }

  @Test
  void aModelThatRoundsIsOfUseForAnIndexOnly() {
    try (TappedModel rounded =
        TappedModel.openRounded(biased, TinyFactors.LAYERS, TinyFactors.CPU)) {
      CorpusFile corpus = new CorpusFile(shared.resolve("corpus.jsonl"));
      Example example = DOCUMENTS.get(0).examples().get(0);
      Map<String, ThrowingCallable> uses =
          Map.of(
              "exact influences",
              () -> new ExactInfluence(rounded, Measure.LOG_LIKELIHOOD, PACK_TOKENS),
              "ranking",
              () -> new CandidateRanking(rounded, corpus, Measure.LOG_LIKELIHOOD),
              "a query",
              () -> ResponseGradient.of(rounded, example, Measure.LOG_LIKELIHOOD),
              "factors",
              () ->
                  new FactorsJob(
                      rounded, corpus, shared.resolve("never-made"), TinyFactors.OPTIONS));
      uses.forEach(
          (name, use) ->
              assertThatThrownBy(use)
                  .as(name)
                  .isInstanceOf(IllegalArgumentException.class)
                  .hasMessageContaining("of use for an index only"));
    }
  }

  private static double cosine(float[] a, float[] b) {
    double product = 0;
    double ofA = 0;
    double ofB = 0;
    for (int i = 0; i < a.length; i++) {
      product += (double) a[i] * b[i];
      ofA += (double) a[i] * a[i];
      ofB += (double) b[i] * b[i];
    }
    return product / Math.sqrt(ofA * ofB);
  }

  /** Documents share packs, and what is not finite may spread: those beside it are not blamed. */
  @Test
  void onlyDocumentsThatOverflowByThemselvesAreNamed() {
    List<CorpusDocument> documents = new ArrayList<>(DOCUMENTS);
    documents.set(4, overflowing(5));
    assertThatThrownBy(() -> gradients(factors).of(documents, PACK_TOKENS))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("The gradient of the document at line 5 is not finite");
    documents.set(5, overflowing(6));
    assertThatThrownBy(() -> gradients(factors).of(documents, PACK_TOKENS))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("documents at lines 5, 6 are not finite");
  }

  private static CorpusDocument overflowing(int line) {
    CorpusDocument document = document(line, 20);
    document.examples().get(0).lossWeights()[3] = Float.MAX_VALUE;
    return document;
  }

  private static SketchedGradients gradients(EkfacFactors of) {
    return gradients(model, of, Measure.LOG_LIKELIHOOD);
  }

  private static SketchedGradients gradients(TappedModel model, EkfacFactors of, Measure measure) {
    return new SketchedGradients(model, of, Damping.DEFAULT, SKETCH, measure);
  }
}
