package dev.whence.engine.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.EngineOptions;
import dev.whence.engine.kernel.Labels;
import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Matrices;
import dev.whence.engine.kernel.Matrix;
import dev.whence.engine.kernel.PackedDocuments;
import dev.whence.engine.kernel.Taps;
import dev.whence.engine.kernel.TrainableDecoder;
import dev.whence.engine.weights.ModelFiles;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Inputs and output gradients of linear layers, against the gradients that training computes. */
class TapsTest {
  private static final EngineOptions CPU = EngineOptions.defaults().withDevice("cpu");
  private static final TrainingOptions OPTIONS =
      TrainingOptions.of(new Schedule.Constant(1e-3, 0)).withEngine(CPU);

  static List<String> families() {
    return GradientFixture.names();
  }

  @ParameterizedTest
  @MethodSource("families")
  void theSumOfOutputGradientsTimesInputsIsTheGradientOfTheWeight(String family) {
    GradientFixture fixture = GradientFixture.read(family);
    try (Trainer trainer = fixture.trainer(OPTIONS);
        Opened opened = Opened.of(fixture, true)) {
      Map<String, float[]> expected = trainer.gradients(fixture.examples());
      double weights = 0;
      for (Example example : fixture.examples()) {
        for (float weight : example.lossWeights()) {
          weights += weight;
        }
      }
      Map<LinearLayer, double[]> found =
          opened.gradients(new RowPacker(64).pack(fixture.examples(), 1 / weights));
      assertThat(found).hasSameSizeAs(LinearLayer.of(opened.files.config()));
      found.forEach(
          (layer, gradient) -> {
            boolean joined = layer.name().contains("query_key_value");
            String module =
                joined ? layer.name().substring(0, layer.name().length() - 2) : layer.name();
            float[] weight = expected.get(module + ".weight");
            int columns = layer.bias() ? layer.inputs() - 1 : layer.inputs();
            int headDim = opened.files.config().headDim();
            double norm = 1e-2;
            for (float g : weight) {
              norm = Math.max(norm, Math.abs(g));
            }
            for (int o = 0; o < layer.outputs(); o++) {
              int row = joined ? (3 * (o / headDim) + layer.part()) * headDim + o % headDim : o;
              for (int i = 0; i < columns; i++) {
                assertThat(gradient[o * layer.inputs() + i])
                    .as("%s at %d, %d", layer.name(), o, i)
                    .isCloseTo(weight[row * columns + i], within(1e-4 * norm));
              }
              if (layer.bias()) {
                assertThat(gradient[(o + 1) * layer.inputs() - 1])
                    .as("bias of %s at %d", layer.name(), o)
                    .isCloseTo(expected.get(module + ".bias")[row], within(1e-4 * norm));
              }
            }
          });
    }
  }

  @ParameterizedTest
  @MethodSource("families")
  void aDocumentsGradientIsTheSameAloneAndAmongOthers(String family) {
    GradientFixture fixture = GradientFixture.read(family);
    try (Opened opened = Opened.of(fixture, true)) {
      List<double[]> together = opened.byDocument(new RowPacker(64).pack(fixture.examples(), 1), 3);
      List<double[]> alone = opened.byDocument(new RowPacker(1).pack(fixture.examples(), 1), 3);
      for (int i = 0; i < fixture.examples().size(); i++) {
        double largest = Arrays.stream(alone.get(i)).map(Math::abs).max().orElseThrow();
        assertThat(together.get(i)).containsExactly(alone.get(i), within(1e-4 * largest + 1e-6));
      }
    }
  }

  @Test
  void onlyTheTappedLayersAreComputed() {
    GradientFixture fixture = GradientFixture.read("pythia");
    try (Opened opened = Opened.of(fixture, false)) {
      LinearLayer attention =
          LinearLayer.of(opened.files.config()).stream()
              .filter(layer -> !layer.isMlp())
              .findFirst()
              .orElseThrow();
      RowPacker.Packed pack = new RowPacker(64).pack(fixture.examples(), 1).get(0);
      try (Taps taps = opened.decoder.tap(opened.matrices, pack.documents(), new Labels.Given())) {
        assertThat(opened.decoder.taps()).isNotEmpty().allMatch(LinearLayer::isMlp);
        assertThatThrownBy(() -> taps.input(attention)).hasMessageContaining("is not tapped");
      }
    }
  }

  /**
   * With p the model's prediction and y drawn from it, E|p - e_y|^2 = 1 - |p|^2. Labels that are
   * drawn for another place give 1 + |p|^2 - 2 p_y instead.
   */
  @ParameterizedTest
  @MethodSource("families")
  void labelsThatAreDrawnAreThoseOfTheirOwnPlaces(String family) {
    GradientFixture fixture = GradientFixture.read(family);
    int vocabulary = 160;
    Example document = Example.of(IntStream.range(0, 40).map(i -> (i * 37) % vocabulary).toArray());
    try (ModelFiles files = ModelFiles.open(fixture.directory());
        Matrices matrices = Matrices.open(CPU);
        TrainableDecoder decoder =
            TrainableDecoder.frozen(
                files.config(), List.of(LinearLayer.head(files.config())), CPU)) {
      decoder.load(files.weights());
      LinearLayer head = decoder.taps().get(0);
      PackedDocuments pack =
          new RowPacker(64).pack(List.of(document, document), 1).get(0).documents();
      int scored = pack.scored().length;
      double expected = 0;
      double measured = 0;
      double variance = 0;
      int draws = 100;
      double[] squares = new double[scored];
      SplittableRandom random = new SplittableRandom(3);
      for (int draw = 0; draw < draws; draw++) {
        try (Taps taps =
            decoder.tap(matrices, pack, new Labels.Drawn(random.doubles(scored).toArray()))) {
          float[] d = taps.gradient(head).floats();
          for (int t = 0; t < scored; t++) {
            double squaredGradient = 0;
            double squaredProbability = 0;
            for (int v = 0; v < head.outputs(); v++) {
              double value = d[t * head.outputs() + v];
              squaredGradient += value * value;
              double p = value + (v == taps.labels()[t] ? 1 : 0);
              squaredProbability += p * p;
            }
            squares[t] = 1 - squaredProbability;
            measured += squaredGradient;
            variance += Math.pow(squaredGradient - squares[t], 2);
          }
        }
        expected += Arrays.stream(squares).sum();
      }
      double standardError = Math.sqrt(variance);
      assertThat(expected).isGreaterThan(0.2 * draws * scored);
      assertThat(measured).isCloseTo(expected, within(4 * standardError));
      assertThat(standardError).isLessThan(0.03 * expected);
    }
  }

  @Test
  void aLabelIsTheTokenWhoseShareOfTheProbabilityHoldsTheUniform() {
    GradientFixture fixture = GradientFixture.read("smollm2");
    Example document = Example.of(3, 7, 31, 90, 12);
    try (ModelFiles files = ModelFiles.open(fixture.directory());
        Matrices matrices = Matrices.open(CPU);
        TrainableDecoder decoder =
            TrainableDecoder.frozen(
                files.config(), List.of(LinearLayer.head(files.config())), CPU)) {
      decoder.load(files.weights());
      LinearLayer head = decoder.taps().get(0);
      PackedDocuments pack = new RowPacker(64).pack(List.of(document), 1).get(0).documents();
      double[][] p = new double[4][head.outputs()];
      try (Taps taps = decoder.tap(matrices, pack, new Labels.Given())) {
        assertThat(taps.labels()).containsExactly(7, 31, 90, 12);
        float[] d = taps.gradient(head).floats();
        for (int t = 0; t < 4; t++) {
          for (int v = 0; v < head.outputs(); v++) {
            p[t][v] = d[t * head.outputs() + v] + (v == taps.labels()[t] ? 1 : 0);
          }
        }
      }
      double[] uniforms = {0, 0.999999999, 0.5, 0.123};
      try (Taps taps = decoder.tap(matrices, pack, new Labels.Drawn(uniforms))) {
        for (int t = 0; t < 4; t++) {
          int label = (int) taps.labels()[t];
          double before = Arrays.stream(p[t], 0, label).sum();
          assertThat(uniforms[t]).isBetween(before - 1e-5, before + p[t][label] + 1e-5);
        }
      }
    }
  }

  @Test
  void eigenvectorsDiagonaliseASymmetricMatrixInDouble() {
    try (Matrices matrices = Matrices.open(CPU)) {
      double[] values = {4, 1, -2, 1, 3, 0.5, -2, 0.5, 5};
      try (Matrix symmetric = matrices.of(3, 3, values)) {
        Matrix.Eigen eigen = symmetric.eigen();
        try (Matrix vectors = eigen.vectors();
            Matrix image = symmetric.times(vectors);
            Matrix diagonal = vectors.transposedTimes(image);
            Matrix identity = vectors.transposedTimes(vectors)) {
          for (int i = 0; i < 3; i++) {
            for (int j = 0; j < 3; j++) {
              assertThat(diagonal.doubles()[3 * i + j])
                  .isCloseTo(i == j ? eigen.values()[i] : 0, within(1e-13));
              assertThat(identity.doubles()[3 * i + j]).isCloseTo(i == j ? 1 : 0, within(1e-13));
            }
          }
          assertThat(eigen.values()).isSorted();
        }
      }
    }
  }

  @Test
  void squaredProductsAreThoseOfEachRunOfRows() {
    try (Matrices matrices = Matrices.open(CPU);
        Matrix x = matrices.of(3, 2, new float[] {1, 2, 3, 4, 5, 6});
        Matrix y = matrices.of(3, 1, new float[] {1, -1, 2});
        Matrix sum = matrices.zeros(2, 1);
        Matrix squares = matrices.zeros(2, 1)) {
      sum.addSquaredProducts(x, y, List.of(new Taps.Run(0, 0, 2), new Taps.Run(1, 2, 3)));
      // rows 0 and 1: (1 - 3, 2 - 4); row 2: (10, 12)
      assertThat(sum.doubles()).containsExactly(4 + 100, 4 + 144);
      squares.addProductOfSquares(x, y);
      assertThat(squares.doubles()).containsExactly(1 + 9 + 25 * 4, 4 + 16 + 36 * 4);
    }
  }

  @Test
  void scaledProductsOfARunStandInTheRoomThatIsGiven() {
    try (Matrices matrices = Matrices.open(CPU);
        Matrix x = matrices.of(3, 2, new float[] {1, 2, 3, 4, 5, 6});
        Matrix y = matrices.of(3, 1, new float[] {1, -1, 2});
        Matrix scale = matrices.of(2, 1, new float[] {10, 100});
        Matrix room = matrices.room(1, 3)) {
      Taps.Run run = new Taps.Run(0, 0, 2);
      try (Matrix products = x.scaledProducts(y, run, scale, 0, 2, room)) {
        // rows 0 and 1: (1 - 3, 2 - 4); row 2: (10, 12)
        float[] expected = {-20, -200};
        assertThat(products.rows()).isEqualTo(1);
        assertThat(products.floats()).containsExactly(expected);
        assertThat(room.floats()).startsWith(expected);
        float[] lent = new float[2];
        products.read(elements -> elements.get(lent));
        assertThat(lent).containsExactly(expected);
        x.scaledProducts(y, new Taps.Run(1, 2, 3), scale, 0, 2, room).close();
        assertThat(products.floats()).containsExactly(100, 1200);
        try (Matrix second = x.scaledProducts(y, run, scale, 1, 1, room)) {
          assertThat(second.floats()).containsExactly(-200);
        }
        assertThat(products.floats()).containsExactly(-200, 1200);
      }
    }
  }

  @Test
  void elementsOfEitherPrecisionAreFilledWithDoublesPieceByPiece() {
    double[] values = {1, 0.1, -3, 1e-7, 5, 1 / 3.0};
    try (Matrices matrices = Matrices.open(CPU);
        Matrix single = matrices.room(2, 3);
        Matrix whole = matrices.zeros(2, 3)) {
      for (int first = 0; first < values.length; first += 4) {
        int n = Math.min(4, values.length - first);
        ByteBuffer piece =
            ByteBuffer.allocateDirect(n * Double.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        piece.asDoubleBuffer().put(values, first, n);
        single.fill(first, piece);
        whole.fill(first, piece);
      }
      assertThat(whole.doubles()).containsExactly(values);
      assertThat(single.doubles())
          .containsExactly(Arrays.stream(values).map(value -> (float) value).toArray());
    }
  }

  /** A fixture's model with its layers tapped. */
  private record Opened(ModelFiles files, Matrices matrices, TrainableDecoder decoder)
      implements AutoCloseable {
    static Opened of(GradientFixture fixture, boolean all) {
      ModelFiles files = ModelFiles.open(fixture.directory());
      List<LinearLayer> layers =
          LinearLayer.of(files.config()).stream().filter(layer -> all || layer.isMlp()).toList();
      TrainableDecoder decoder = TrainableDecoder.frozen(files.config(), layers, CPU);
      decoder.load(files.weights());
      return new Opened(files, Matrices.open(CPU), decoder);
    }

    Map<LinearLayer, double[]> gradients(List<RowPacker.Packed> packs) {
      Map<LinearLayer, double[]> sums = new java.util.LinkedHashMap<>();
      for (RowPacker.Packed pack : packs) {
        try (Taps taps = decoder.tap(matrices, pack.documents(), new Labels.Given())) {
          for (LinearLayer layer : decoder.taps()) {
            double[] sum =
                sums.computeIfAbsent(layer, one -> new double[one.outputs() * one.inputs()]);
            try (Matrix product = taps.gradient(layer).transposedTimes(taps.input(layer))) {
              double[] values = product.doubles();
              Arrays.setAll(sum, i -> sum[i] + values[i]);
            }
          }
        }
      }
      return sums;
    }

    /** Of one layer: the gradient of each document. */
    List<double[]> byDocument(List<RowPacker.Packed> packs, int nth) {
      LinearLayer layer = decoder.taps().get(nth);
      List<double[]> found = new ArrayList<>();
      int documents =
          packs.stream().flatMapToInt(pack -> Arrays.stream(pack.owners())).max().orElse(-1) + 1;
      for (int i = 0; i < documents; i++) {
        found.add(new double[0]);
      }
      for (RowPacker.Packed pack : packs) {
        try (Taps taps = decoder.tap(matrices, pack.documents(), new Labels.Given())) {
          for (Taps.Run run : taps.runs(layer)) {
            try (Matrix d = taps.gradient(layer).rows(run);
                Matrix a = taps.input(layer).rows(run);
                Matrix product = d.transposedTimes(a)) {
              found.set(run.document(), product.doubles());
            }
          }
        }
      }
      return found;
    }

    @Override
    public void close() {
      decoder.close();
      matrices.close();
      files.close();
    }
  }
}
