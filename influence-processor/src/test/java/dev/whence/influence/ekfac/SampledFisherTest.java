package dev.whence.influence.ekfac;

import static org.assertj.core.api.Assertions.assertThat;

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
import dev.whence.influence.query.ConjugateGradients;
import dev.whence.influence.query.MultiStageQuery;
import dev.whence.influence.query.ResponseGradient;
import dev.whence.samples.BundledModels;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Products with the sampled Fisher, and conjugate gradients on it, against F = (1/N) sum of g_i
 * g_i' with whole gradients, in fp64, and against the solution by Woodbury's formula, which is
 * exact: two layers of tiny-base, of different blocks, 3,200 elements in all.
 */
class SampledFisherTest {
  private static final LayerSelection LAYERS =
      new LayerSelection("layers\\.0\\.self_attn\\.o_proj|layers\\.1\\.self_attn\\.v_proj");
  private static final long SEED = 3;
  private static final int DOCUMENTS = 12;

  @TempDir private static Path directory;
  private static TappedModel model;
  private static EkfacFactors factors;
  private static List<CorpusDocument> documents;
  private static SampledFisher fisher;
  private static final List<double[]> GRADIENTS = new ArrayList<>();

  @BeforeAll
  static void compute() throws Exception {
    model = TappedModel.open(BundledModels.unpack("tiny-base"), LAYERS, TinyFactors.CPU);
    Path corpus =
        SampleCorpus.write(
            directory.resolve("corpus.jsonl"), TinyFactors.documents().subList(0, DOCUMENTS));
    factors =
        EkfacFactors.read(
            TinyFactors.compute(
                model,
                corpus,
                directory.resolve("factors"),
                FactorsJob.Options.DEFAULT.withSelection(LAYERS).withPackTokens(256)),
            model.matrices());
    documents = new CorpusFile(corpus).documents(model.texts());
    fisher = new SampledFisher(model, documents, SEED, 256);
    gradients();
  }

  @AfterAll
  static void close() {
    factors.close();
    model.close();
  }

  private static int elements() {
    return (int) model.layers().stream().mapToLong(LinearLayer::elements).sum();
  }

  /** g_i / sqrt(N), each one sequence's whole gradient, alone in its pack. */
  private static void gradients() {
    LabelSeed labels = new LabelSeed(SEED);
    double tokens = documents.stream().mapToDouble(CorpusDocument::weight).sum();
    for (CorpusDocument document : documents) {
      for (Example example : document.examples()) {
        List<Example> one = List.of(LabelSeed.forSquares(example));
        RowPacker.Packed pack = model.pack(one, 1).get(0);
        double[] g = new double[elements()];
        try (Taps taps = model.tap(pack, labels.of(pack, one))) {
          int first = 0;
          for (LinearLayer layer : model.layers()) {
            float[] a = taps.input(layer).floats();
            float[] d = taps.gradient(layer).floats();
            for (int t = 0; t < a.length / layer.inputs(); t++) {
              for (int o = 0; o < layer.outputs(); o++) {
                for (int i = 0; i < layer.inputs(); i++) {
                  g[first + o * layer.inputs() + i] +=
                      (double) d[t * layer.outputs() + o]
                          * a[t * layer.inputs() + i]
                          / Math.sqrt(tokens);
                }
              }
            }
            first += (int) layer.elements();
          }
        }
        GRADIENTS.add(g);
      }
    }
  }

  private static double dot(double[] x, double[] y) {
    double sum = 0;
    for (int i = 0; i < x.length; i++) {
      sum += x[i] * y[i];
    }
    return sum;
  }

  /** F x. */
  private static double[] exact(double[] x) {
    double[] product = new double[x.length];
    for (double[] g : GRADIENTS) {
      double factor = dot(g, x);
      for (int i = 0; i < x.length; i++) {
        product[i] += factor * g[i];
      }
    }
    return product;
  }

  /**
   * (F + D)^-1 q = D^-1 q - D^-1 G (1 + G' D^-1 G)^-1 G' D^-1 q with the gradients as columns of G.
   */
  private static double[] solution(double[] diagonal, double[] q) {
    int n = GRADIENTS.size();
    List<double[]> scaled = new ArrayList<>();
    for (double[] g : GRADIENTS) {
      double[] row = g.clone();
      for (int i = 0; i < row.length; i++) {
        row[i] /= diagonal[i];
      }
      scaled.add(row);
    }
    double[][] small = new double[n][n];
    double[] right = new double[n];
    for (int i = 0; i < n; i++) {
      right[i] = dot(scaled.get(i), q);
      for (int j = 0; j < n; j++) {
        small[i][j] = (i == j ? 1 : 0) + dot(scaled.get(i), GRADIENTS.get(j));
      }
    }
    double[] factors = Solve.symmetric(small, right);
    double[] x = new double[q.length];
    for (int i = 0; i < x.length; i++) {
      x[i] = q[i] / diagonal[i];
      for (int k = 0; k < n; k++) {
        x[i] -= factors[k] * scaled.get(k)[i];
      }
    }
    return x;
  }

  private static double[] flat(Map<String, double[]> vector) {
    double[] flat = new double[elements()];
    int first = 0;
    for (LinearLayer layer : model.layers()) {
      double[] values = vector.getOrDefault(layer.name(), new double[0]);
      System.arraycopy(values, 0, flat, first, values.length);
      first += values.length;
    }
    return flat;
  }

  private static Map<String, double[]> layers(double[] flat) {
    Map<String, double[]> layers = new LinkedHashMap<>();
    int first = 0;
    for (LinearLayer layer : model.layers()) {
      double[] values = new double[(int) layer.elements()];
      System.arraycopy(flat, first, values, 0, values.length);
      layers.put(layer.name(), values);
      first += values.length;
    }
    return layers;
  }

  private static double distance(double[] x, double[] y) {
    double[] difference = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      difference[i] = x[i] - y[i];
    }
    return Math.sqrt(dot(difference, difference) / dot(y, y));
  }

  @Test
  void productsAreThoseOfTheDenseMatrixHoweverDocumentsArePacked() {
    Random random = new Random(1);
    double[] v = random.doubles(elements(), -1, 1).toArray();
    double[] expected = exact(v);
    assertThat(distance(flat(fisher.times(layers(v))), expected)).isLessThan(1e-4);
    SampledFisher apart = new SampledFisher(model, documents, SEED, 1);
    assertThat(distance(flat(apart.times(layers(v))), expected)).isLessThan(1e-4);
  }

  /**
   * (F + lambda_l on layer l) V = q, solved exactly; each iteration lessens the error by the
   * matrix' own norm, e' (F + lambda) e.
   */
  @Test
  void refinedQueriesGoToTheSolution() {
    Damping lambda = Damping.relative(10);
    ResponseGradient gradient =
        ResponseGradient.of(model, documents.get(3).examples().get(0), Measure.LOG_ODDS);
    double[] diagonal = new double[elements()];
    int first = 0;
    for (LinearLayer layer : model.layers()) {
      Arrays.fill(diagonal, first, first + (int) layer.elements(), lambda.of(factors, layer));
      first += (int) layer.elements();
    }
    double[] expected = solution(diagonal, flat(gradient.byLayer()));
    MultiStageQuery query = new MultiStageQuery(factors, Optional.empty(), model.matrices());
    double[] ekfac = flat(query.whitened(gradient, lambda, lambda, lambda).direction());
    double before = energy(diagonal, ekfac, expected);
    double last = before;
    for (int iterations : new int[] {1, 3, 10, 60}) {
      MultiStageQuery.Refined refined =
          query.refined(gradient, lambda, lambda, lambda, fisher, iterations);
      double[] found = flat(refined.whitened().direction());
      double error = energy(diagonal, found, expected);
      assertThat(error).as("%d iterations", iterations).isLessThan(last);
      last = error;
      if (iterations == 60) {
        assertThat(distance(found, expected)).isLessThan(1e-3);
        assertThat(refined.residuals().get(60)).isLessThan(1e-3 * refined.residuals().get(0));
      }
    }
    assertThat(last).isLessThan(1e-6 * before);
  }

  /** (x - y)' (F + D) (x - y). */
  private static double energy(double[] diagonal, double[] x, double[] y) {
    double[] difference = new double[x.length];
    double sum = 0;
    for (int i = 0; i < x.length; i++) {
      difference[i] = x[i] - y[i];
      sum += diagonal[i] * difference[i] * difference[i];
    }
    return sum + dot(difference, exact(difference));
  }

  /** A preconditioner that is the inverse itself leaves nothing to do. */
  @Test
  void withTheInverseAsPreconditionerTheFirstGuessIsTheSolution() {
    Map<String, double[]> b = Map.of("x", new double[] {1, -2, 3});
    ConjugateGradients.Solved solved =
        ConjugateGradients.solve(
            x -> Map.of("x", times(x.getOrDefault("x", new double[0]), 4)),
            x -> Map.of("x", times(x.getOrDefault("x", new double[0]), 0.25)),
            b,
            5);
    assertThat(solved.residuals()).containsExactly(0.0);
    assertThat(solved.solution().get("x")).containsExactly(0.25, -0.5, 0.75);
  }

  private static double[] times(double[] x, double factor) {
    double[] product = x.clone();
    for (int i = 0; i < x.length; i++) {
      product[i] *= factor;
    }
    return product;
  }
}
