package dev.whence.influence.ekfac;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Taps;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.RowPacker;
import dev.whence.influence.SampleCorpus;
import dev.whence.influence.TinyFactors;
import dev.whence.influence.corpus.CorpusDocument;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.model.LayerSelection;
import dev.whence.influence.model.Measure;
import dev.whence.influence.model.TappedModel;
import dev.whence.influence.query.MultiStageQuery;
import dev.whence.influence.query.ResponseGradient;
import dev.whence.samples.BundledModels;
import dev.whence.samples.Questions;
import dev.whence.samples.World;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * How large Lambda is, and what is done with it: relative dampings hide both. Two layers of
 * tiny-base and tiny-chat, one of them not square, with gradients summed token by token, in fp64:
 *
 * <pre>
 *   Lambda = (1/N) sum over sequences of (Q_S' G Q_A)^2,   H x = Q_S [(Q_S' x Q_A) Lambda] Q_A'
 *   (H_pt + lambda) V = U,   (H_ft + alpha) U = alpha q
 * </pre>
 */
class CurvatureScaleTest {
  private static final LayerSelection LAYERS =
      new LayerSelection("layers\\.1\\.(self_attn\\.v_proj|mlp\\.down_proj)");
  private static final FactorsJob.Options OPTIONS =
      FactorsJob.Options.DEFAULT.withSelection(LAYERS).withPackTokens(256);

  @TempDir private static Path directory;
  private static TappedModel base;
  private static TappedModel chat;
  private static Stage pretraining;
  private static Stage fineTuning;
  private static ResponseGradient gradient;

  /**
   * A stage's factors, and what they must be.
   *
   * @param tokens N
   * @param lambda [O, I] by the layer's name, from gradients that were computed anew
   * @param squares sum over sequences of |G|^2 by the layer's name: no eigenvectors are in it
   */
  private record Stage(
      EkfacFactors factors,
      double tokens,
      Map<String, double[]> lambda,
      Map<String, Double> squares) {
    double[] lambda(LinearLayer layer) {
      return Objects.requireNonNull(lambda.get(layer.name()));
    }

    double meanLambda(LinearLayer layer) {
      return Arrays.stream(lambda(layer)).average().orElseThrow();
    }

    /** (H + damping) x. */
    double[] damped(LinearLayer layer, double[] x, double damping) {
      double[] turned = intoEigenbasis(factors, layer, x);
      double[] eigenvalues = lambda(layer);
      for (int i = 0; i < turned.length; i++) {
        turned[i] *= eigenvalues[i] + damping;
      }
      int outputs = layer.outputs();
      int inputs = layer.inputs();
      double[] left =
          product(factors.gradientVectors(layer).doubles(), outputs, outputs, turned, inputs);
      double[] qa = factors.inputVectors(layer).doubles();
      return product(left, outputs, inputs, transposed(qa, inputs, inputs), inputs);
    }
  }

  @BeforeAll
  static void compute() throws Exception {
    base = TappedModel.open(BundledModels.unpack("tiny-base"), LAYERS, TinyFactors.CPU);
    chat = TappedModel.open(BundledModels.unpack("tiny-chat"), LAYERS, TinyFactors.CPU);
    World world = SampleCorpus.world("tiny-base");
    pretraining =
        stage(
            base,
            SampleCorpus.write(
                directory.resolve("corpus.jsonl"), TinyFactors.documents().subList(0, 12)),
            "pretraining");
    fineTuning =
        stage(
            chat, SampleCorpus.writeAsked(directory.resolve("asked.jsonl"), world), "fine-tuning");
    gradient =
        ResponseGradient.of(
            chat,
            Questions.withoutContext(world.facts().get(0), 0).answered(),
            Measure.LOG_LIKELIHOOD);
  }

  @AfterAll
  static void close() {
    pretraining.factors().close();
    fineTuning.factors().close();
    base.close();
    chat.close();
  }

  private static Stage stage(TappedModel model, Path corpus, String name) {
    EkfacFactors factors =
        EkfacFactors.read(
            TinyFactors.compute(model, corpus, directory.resolve(name), OPTIONS), model.matrices());
    double tokens = 0;
    Map<String, double[]> lambda = new LinkedHashMap<>();
    Map<String, Double> squares = new LinkedHashMap<>();
    LabelSeed labels = new LabelSeed(~OPTIONS.seed()); // as the pass over Lambda draws them
    for (CorpusDocument document : new CorpusFile(corpus).documents(model.texts())) {
      for (Example example : document.examples()) {
        for (float weight : example.lossWeights()) {
          tokens += weight;
        }
        List<Example> one = List.of(LabelSeed.forSquares(example));
        RowPacker.Packed pack = model.pack(one, 1).get(0);
        try (Taps taps = model.tap(pack, labels.of(pack, one))) {
          for (LinearLayer layer : model.layers()) {
            double[] g = gradient(taps, layer);
            squares.merge(layer.name(), dot(g, g), Double::sum);
            double[] sums = lambda.computeIfAbsent(layer.name(), unused -> new double[g.length]);
            double[] turned = intoEigenbasis(factors, layer, g);
            for (int i = 0; i < sums.length; i++) {
              sums[i] += turned[i] * turned[i];
            }
          }
        }
      }
    }
    for (double[] sums : lambda.values()) {
      for (int i = 0; i < sums.length; i++) {
        sums[i] /= tokens;
      }
    }
    return new Stage(factors, tokens, lambda, squares);
  }

  /** G [O, I]: the sum over a sequence's tokens of d a'. */
  private static double[] gradient(Taps taps, LinearLayer layer) {
    float[] a = taps.input(layer).floats();
    float[] d = taps.gradient(layer).floats();
    double[] g = new double[(int) layer.elements()];
    for (int t = 0; t < a.length / layer.inputs(); t++) {
      for (int o = 0; o < layer.outputs(); o++) {
        for (int i = 0; i < layer.inputs(); i++) {
          g[o * layer.inputs() + i] +=
              (double) d[t * layer.outputs() + o] * a[t * layer.inputs() + i];
        }
      }
    }
    return g;
  }

  /** Q_S' x Q_A. */
  private static double[] intoEigenbasis(EkfacFactors factors, LinearLayer layer, double[] x) {
    int outputs = layer.outputs();
    int inputs = layer.inputs();
    double[] qs = factors.gradientVectors(layer).doubles();
    double[] left = product(transposed(qs, outputs, outputs), outputs, outputs, x, inputs);
    return product(left, outputs, inputs, factors.inputVectors(layer).doubles(), inputs);
  }

  /** a [rows, inner] times b [inner, columns]. */
  private static double[] product(double[] a, int rows, int inner, double[] b, int columns) {
    double[] product = new double[rows * columns];
    for (int r = 0; r < rows; r++) {
      for (int k = 0; k < inner; k++) {
        for (int c = 0; c < columns; c++) {
          product[r * columns + c] += a[r * inner + k] * b[k * columns + c];
        }
      }
    }
    return product;
  }

  private static double[] transposed(double[] a, int rows, int columns) {
    double[] transposed = new double[a.length];
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < columns; c++) {
        transposed[c * rows + r] = a[r * columns + c];
      }
    }
    return transposed;
  }

  private static double dot(double[] x, double[] y) {
    double sum = 0;
    for (int i = 0; i < x.length; i++) {
      sum += x[i] * y[i];
    }
    return sum;
  }

  private static double[] times(double factor, double[] x) {
    return Arrays.stream(x).map(one -> factor * one).toArray();
  }

  /** |x - y| / |y|. */
  private static double distance(double[] x, double[] y) {
    double[] difference = x.clone();
    for (int i = 0; i < x.length; i++) {
      difference[i] -= y[i];
    }
    return Math.sqrt(dot(difference, difference) / dot(y, y));
  }

  private static double[] q(LinearLayer layer) {
    return Objects.requireNonNull(gradient.byLayer().get(layer.name()));
  }

  @Test
  void lambdaIsASumOverSequencesOverTheTokensOfItsStage() {
    assertThat(pretraining.tokens()).isNotCloseTo(fineTuning.tokens(), within(50.));
    for (Stage stage : List.of(pretraining, fineTuning)) {
      assertThat(stage.factors().stage().tokens()).isEqualTo(stage.tokens());
      for (LinearLayer layer : stage.factors().layers()) {
        double[] found = stage.factors().lambda(layer);
        double expected = stage.squares().get(layer.name()) / stage.tokens();
        assertThat(Arrays.stream(found).sum())
            .as("sum of Lambda of %s", layer.name())
            .isCloseTo(expected, within(1e-4 * expected));
        assertThat(stage.factors().meanLambda(layer))
            .isCloseTo(expected / layer.elements(), within(1e-4 * expected / layer.elements()));
        assertThat(distance(found, stage.lambda(layer))).isLessThan(1e-4);
      }
    }
  }

  @Test
  void aQueryInOneStageSolvesTheDampedSystem() {
    MultiStageQuery query =
        new MultiStageQuery(pretraining.factors(), Optional.empty(), base.matrices());
    for (LinearLayer layer : base.layers()) {
      double lambda = pretraining.meanLambda(layer);
      double[] v = direction(query, layer, Damping.DEFAULT, lambda);
      assertThat(distance(pretraining.damped(layer, v, lambda), q(layer)))
          .as(layer.name())
          .isLessThan(1e-4);
      assertThat(distance(times(lambda, v), q(layer)))
          .as("what damping alone would leave of %s", layer.name())
          .isGreaterThan(.1);
    }
  }

  @Test
  void aQueryInTwoStagesSolvesBothEachWithItsOwnCurvatureAndN() {
    MultiStageQuery query =
        new MultiStageQuery(
            pretraining.factors(), Optional.of(fineTuning.factors()), base.matrices());
    for (LinearLayer layer : base.layers()) {
      double lambda = pretraining.meanLambda(layer);
      double alpha = fineTuning.meanLambda(layer);
      double[] v = direction(query, layer, Damping.absolute(alpha), lambda);
      double[] u = pretraining.damped(layer, v, lambda);
      assertThat(distance(fineTuning.damped(layer, u, alpha), times(alpha, q(layer))))
          .as(layer.name())
          .isLessThan(1e-4);
      assertThat(distance(u, q(layer)))
          .as("what fine-tuning takes of %s", layer.name())
          .isGreaterThan(.1);
    }
  }

  private static double[] direction(
      MultiStageQuery query, LinearLayer layer, Damping alpha, double lambda) {
    return Objects.requireNonNull(
        query
            .whitened(gradient, alpha, Damping.absolute(lambda), Damping.DEFAULT)
            .direction()
            .get(layer.name()));
  }
}
