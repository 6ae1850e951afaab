package dev.whence.engine.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.kernel.Labels;
import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Matrices;
import dev.whence.engine.kernel.Matrix;
import dev.whence.engine.kernel.PackedDocuments;
import dev.whence.engine.kernel.Taps;
import dev.whence.engine.kernel.TrainableDecoder;
import dev.whence.engine.weights.ModelFiles;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Products of numbers in bf16 beside the same in fp32. */
class RoundedProductsTest {
  private static final EngineOptions CPU = EngineOptions.defaults().withDevice("cpu");

  /** Half of the last of bf16's eight bits. */
  private static final double ROUNDING = 1.0 / 512;

  private static float[] gaussian(int n, long seed) {
    Random random = new Random(seed);
    float[] values = new float[n];
    for (int i = 0; i < n; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  @Test
  void aProductWithARoundedMatrixIsInSingleAndRounded() {
    float[] left = gaussian(40 * 24, 1);
    float[] right = gaussian(24 * 24, 2);
    try (Matrices matrices = Matrices.open(CPU);
        Matrix a = matrices.of(40, 24, left);
        Matrix b = matrices.of(24, 24, right);
        Matrix rounded = b.inBf16();
        Matrix expected = a.times(b);
        Matrix found = a.times(rounded)) {
      assertThat(rounded.isRounded()).isTrue();
      assertThat(found.isRounded()).isFalse();
      assertThat(b.isRounded()).isFalse();
      double error = distance(expected.floats(), found.floats());
      assertThat(error).isBetween(1e-4, 2 * ROUNDING);
    }
  }

  @Test
  void otherTypesAreNotMixed() {
    try (Matrices matrices = Matrices.open(CPU);
        Matrix single = matrices.of(2, 2, new float[4]);
        Matrix twice = matrices.of(2, 2, new double[4])) {
      assertThatThrownBy(() -> twice.times(single)).isInstanceOf(EngineException.class);
    }
  }

  @Test
  void numbersInBf16AreNotLent() {
    try (Matrices matrices = Matrices.open(CPU);
        Matrix single = matrices.of(2, 2, new float[4]);
        Matrix rounded = single.inBf16()) {
      assertThatThrownBy(() -> rounded.read(elements -> {}))
          .isInstanceOf(IllegalStateException.class);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"smollm2", "pythia"})
  void gradientsOfRoundedProductsAreOffByRounding(String family) {
    GradientFixture fixture = GradientFixture.read(family);
    PackedDocuments documents = documents(fixture);
    try (ModelFiles files = ModelFiles.open(fixture.directory());
        Matrices matrices = Matrices.open(CPU);
        TrainableDecoder exact = open(files, false);
        TrainableDecoder rounded = open(files, true);
        Taps expected = exact.tap(matrices, documents, new Labels.Given());
        Taps found = rounded.tap(matrices, documents, new Labels.Given())) {
      assertThat(exact.isRounded()).isFalse();
      assertThat(rounded.isRounded()).isTrue();
      for (LinearLayer layer : exact.taps()) {
        double ofInputs = distance(expected.input(layer).floats(), found.input(layer).floats());
        double ofGradients =
            distance(expected.gradient(layer).floats(), found.gradient(layer).floats());
        assertThat(ofInputs).as("inputs of %s", layer.name()).isLessThan(16 * ROUNDING);
        assertThat(ofGradients).as("gradients at %s", layer.name()).isBetween(1e-5, 64 * ROUNDING);
      }
      assertThat(distance(expected.losses(), found.losses())).isLessThan(8 * ROUNDING);
    }
  }

  /** Matrices are rounded once: those of other parameters are not what was rounded before. */
  @ParameterizedTest
  @ValueSource(strings = {"smollm2", "pythia"})
  void otherParametersAreRoundedAnew(String family) {
    GradientFixture fixture = GradientFixture.read(family);
    PackedDocuments documents = documents(fixture);
    try (ModelFiles files = ModelFiles.open(fixture.directory());
        TrainableDecoder changed = open(files, true);
        TrainableDecoder fresh = open(files, true)) {
      float[] before = changed.measure(documents);
      int n = Math.toIntExact(changed.layout().total());
      float[] theta = changed.read(TrainableDecoder.Vector.THETA, 0, n);
      for (int i = 0; i < n; i++) {
        theta[i] *= 1 + i % 5;
      }
      changed.fill(TrainableDecoder.Vector.THETA, 0, theta);
      fresh.fill(TrainableDecoder.Vector.THETA, 0, theta);
      float[] after = changed.measure(documents);
      assertThat(after).isEqualTo(fresh.measure(documents));
      assertThat(distance(before, after)).isGreaterThan(ROUNDING);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void lossesAreThoseOfATap(boolean rounded) {
    GradientFixture fixture = GradientFixture.read("smollm2");
    PackedDocuments documents = documents(fixture);
    try (ModelFiles files = ModelFiles.open(fixture.directory());
        Matrices matrices = Matrices.open(CPU);
        TrainableDecoder decoder = open(files, rounded);
        Taps taps = decoder.tap(matrices, documents, new Labels.Given())) {
      assertThat(decoder.measure(documents)).containsExactly(taps.losses(), within(1e-5f));
    }
  }

  private static PackedDocuments documents(GradientFixture fixture) {
    return new RowPacker(64).pack(fixture.examples(), 1).get(0).documents();
  }

  private static TrainableDecoder open(ModelFiles files, boolean rounded) {
    List<LinearLayer> layers = LinearLayer.of(files.config());
    TrainableDecoder decoder =
        rounded
            ? TrainableDecoder.frozenRounded(files.config(), layers, CPU)
            : TrainableDecoder.frozen(files.config(), layers, CPU);
    decoder.load(files.weights());
    return decoder;
  }

  /** |a - b| / |a|. */
  private static double distance(float[] a, float[] b) {
    double squares = 0;
    double own = 0;
    for (int i = 0; i < a.length; i++) {
      squares += Math.pow(a[i] - b[i], 2);
      own += Math.pow(a[i], 2);
    }
    return Math.sqrt(squares / own);
  }
}
