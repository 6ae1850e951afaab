package dev.whence.influence.index;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class SignCodesTest {
  private static float[] gaussian(Random random, int n) {
    float[] values = new float[n];
    for (int i = 0; i < n; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  private static double product(float[] x, float[] y) {
    double sum = 0;
    for (int i = 0; i < x.length; i++) {
      sum += (double) x[i] * y[i];
    }
    return sum;
  }

  /** The defining sum, number by number. */
  private static double product(float[] query, SignCodes codes) {
    double sum = 0;
    for (int i = 0; i < query.length; i++) {
      boolean positive = (codes.signs()[i / 64] >>> (i % 64) & 1) == 1;
      sum += positive ? query[i] : -query[i];
    }
    return sum * codes.scale();
  }

  @Test
  void aSignIsABitAndTheScaleIsTheSquareOverTheSizes() {
    float[] sketch = new float[64];
    sketch[0] = -3;
    sketch[1] = 4;
    sketch[63] = -1;
    SignCodes codes = SignCodes.of(sketch);
    assertThat(codes.signs()).containsExactly(~(1L | 1L << 63));
    assertThat(codes.scale()).isEqualTo((9 + 16 + 1) / 8f);
  }

  @Test
  void aSketchOfZerosHasNoProducts() {
    SignCodes codes = SignCodes.of(new float[128]);
    assertThat(codes.scale()).isZero();
  }

  @Test
  void numbersFillWholeWords() {
    assertThat(SignCodes.bytes(128)).isEqualTo(16);
    assertThatIllegalArgumentException().isThrownBy(() -> SignCodes.of(new float[100]));
  }

  /** x~' x = |x|^2, by which the scale is chosen. */
  @Property(tries = 50)
  void theProductWithTheSketchItselfIsItsSquare(
      @ForAll long seed, @ForAll @IntRange(min = 1, max = 9) int words) {
    float[] x = gaussian(new Random(seed), 64 * words);
    assertThat(product(x, SignCodes.of(x))).isCloseTo(product(x, x), within(1e-5 * product(x, x)));
  }

  /** Integers of 16 bits come back exactly: the product is then the defining sum. */
  @Property(tries = 50)
  void aQueryOfWholeNumbersIsMultipliedExactly(
      @ForAll long seed, @ForAll @IntRange(min = 1, max = 9) int words) {
    Random random = new Random(seed);
    float[] query = new float[64 * words];
    for (int i = 0; i < query.length; i++) {
      query[i] = random.nextInt(2 * 32767 + 1) - 32767;
    }
    query[random.nextInt(query.length)] = 32767;
    SignCodes codes = SignCodes.of(gaussian(random, query.length));
    assertThat(QueryPlanes.fine(query).product(codes.signs()) * codes.scale())
        .isCloseTo(product(query, codes), within(1e-9 * 32767 * query.length));
  }

  /** Rounding to 16 bits moves each number by half a step at most. */
  @Property(tries = 50)
  void aFineQueryIsOffByHalfAStepForEachNumber(@ForAll long seed) {
    Random random = new Random(seed);
    float[] query = gaussian(random, 640);
    float largest = 0;
    for (float value : query) {
      largest = Math.max(largest, Math.abs(value));
    }
    SignCodes codes = SignCodes.of(gaussian(random, 640));
    assertThat(QueryPlanes.fine(query).product(codes.signs()) * codes.scale())
        .isCloseTo(
            product(query, codes), within(640 * codes.scale() * (largest / 32767 / 2 * 1.001)));
  }

  /**
   * Two bits with the best step leave at most .1188 of a Gaussian's square (Max 1960, table I, four
   * levels that need not be evenly spaced leave .1175; evenly spaced from -2 to 1 a little more).
   */
  @Test
  void aCoarseQueryKeepsMostOfItsSquare() {
    Random random = new Random(7);
    float[] query = gaussian(random, 1 << 16);
    int documents = 400;
    double off = 0;
    QueryPlanes coarse = QueryPlanes.coarse(query);
    for (int i = 0; i < documents; i++) {
      SignCodes codes = SignCodes.of(gaussian(random, query.length));
      double error = coarse.product(codes.signs()) - product(query, codes) / codes.scale();
      off += error * error;
    }
    // random signs: the mean square of the error is the squared length of what rounding took
    assertThat(off / documents / product(query, query)).isBetween(0.1175 * .8, 0.25);
  }

  /**
   * |q| |x| sqrt(pi / (2 k)) over independent sketches of two vectors, its sixteenth at most off.
   */
  @Test
  void theStandardErrorIsWhatIsSaid() {
    int k = 512;
    Random random = new Random(11);
    float[] x = gaussian(random, 20_000);
    float[] q = gaussian(random, 20_000);
    for (int i = 0; i < q.length; i++) {
      q[i] += .05f * x[i];
    }
    double exact = product(q, x);
    double said = Math.sqrt(product(q, q) * product(x, x) * Math.PI / (2 * k));
    int tries = 600;
    double squares = 0;
    double sum = 0;
    for (int seed = 0; seed < tries; seed++) {
      CountSketch sketch = new CountSketch(k, seed);
      float[] ofX = new float[k];
      float[] ofQ = new float[k];
      sketch.add(x, 0, ofX);
      sketch.add(q, 0, ofQ);
      SignCodes codes = SignCodes.of(ofX);
      double error = QueryPlanes.fine(ofQ).product(codes.signs()) * codes.scale() - exact;
      squares += error * error;
      sum += error;
    }
    // a standard deviation of 600 draws is itself off by 1 / sqrt(1200) = 2.9 %: 4 of those
    assertThat(Math.sqrt(squares / tries) / said).isCloseTo(1, within(.12));
    assertThat(sum / tries).isCloseTo(0, within(4 * said / Math.sqrt(tries)));
  }
}
