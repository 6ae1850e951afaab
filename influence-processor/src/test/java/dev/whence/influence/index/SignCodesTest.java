package dev.whence.influence.index;

import static dev.whence.influence.index.Vectors.gaussian;
import static dev.whence.influence.index.Vectors.product;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class SignCodesTest {
  /** The defining sum, number by number. */
  private static double defined(float[] query, SignCodes codes) {
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
    sketch[2] = -0f;
    sketch[63] = -1;
    SignCodes codes = SignCodes.of(new RotatedSketch(sketch));
    assertThat(codes.signs()).containsExactly(~(1L | 1L << 2 | 1L << 63));
    assertThat(codes.scale()).isEqualTo((9 + 16 + 1) / 8f);
  }

  @Test
  void aSketchOfZerosHasNoProducts() {
    SignCodes codes = SignCodes.of(new RotatedSketch(new float[128]));
    assertThat(codes.scale()).isZero();
  }

  @Test
  void numbersFillWholeWords() {
    assertThat(SignCodes.bytes(128)).isEqualTo(16);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> SignCodes.of(new RotatedSketch(new float[100])));
  }

  /** x~' x = |x|^2, by which the scale is chosen. */
  @Property(tries = 50)
  void theProductWithTheSketchItselfIsItsSquare(
      @ForAll long seed, @ForAll @IntRange(min = 1, max = 9) int words) {
    float[] x = gaussian(new Random(seed), 64 * words);
    assertThat(defined(x, SignCodes.of(new RotatedSketch(x))))
        .isCloseTo(product(x, x), within(1e-5 * product(x, x)));
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
    SignCodes codes = SignCodes.of(new RotatedSketch(gaussian(random, query.length)));
    assertThat(QueryPlanes.fine(new RotatedSketch(query)).product(codes.signs()) * codes.scale())
        .isCloseTo(defined(query, codes), within(1e-9 * 32767 * query.length));
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
    SignCodes codes = SignCodes.of(new RotatedSketch(gaussian(random, 640)));
    assertThat(QueryPlanes.fine(new RotatedSketch(query)).product(codes.signs()) * codes.scale())
        .isCloseTo(
            defined(query, codes), within(640 * codes.scale() * (largest / 32767 / 2 * 1.001)));
  }

  /**
   * For u from -2 to 1 and a step of 1.08 the mean of (x - step u)^2 over a standard Gaussian x is
   * .151, by numerical integration; random signs make that of the squared length of the error.
   */
  @Test
  void aCoarseQueryKeepsMostOfItsSquare() {
    Random random = new Random(7);
    float[] query = gaussian(random, 1 << 16);
    int documents = 400;
    double off = 0;
    QueryPlanes coarse = QueryPlanes.coarse(new RotatedSketch(query));
    for (int i = 0; i < documents; i++) {
      SignCodes codes = SignCodes.of(new RotatedSketch(gaussian(random, query.length)));
      double error = coarse.product(codes.signs()) - defined(query, codes) / codes.scale();
      off += error * error;
    }
    // a mean of 400 squared Gaussians is off by sqrt(2 / 400) = 7 %: 4 of those
    assertThat(off / documents / product(query, query)).isCloseTo(.151, within(.151 * .28));
  }

  /** |q| |x| sqrt(pi / (2 k)) over independent sketches of two vectors. */
  @Test
  void theStandardErrorIsWhatIsSaid() {
    Random random = new Random(11);
    float[] x = gaussian(random, 20_000);
    float[] q = gaussian(random, 20_000);
    for (int i = 0; i < q.length; i++) {
      q[i] += .05f * x[i];
    }
    checkErrors(q, x, 512, 600);
  }

  /**
   * As the gradients of a document of one token are, with rows and columns of very different size,
   * three coordinates for each number, and a response that is much like it: without the rotation
   * the mean of these estimates is .45 standard errors off, where .28 are let pass.
   */
  @Test
  void vectorsOfFewTokensAreEstimatedAsWellAsOthers() {
    Random random = new Random(12);
    int side = 160;
    float[] rows = sizes(random, side);
    float[] columns = sizes(random, side);
    float[] x = new float[side * side];
    float[] q = new float[side * side];
    float[] noise = gaussian(random, side);
    for (int i = 0; i < side; i++) {
      for (int j = 0; j < side; j++) {
        x[i * side + j] = rows[i] * columns[j];
        q[i * side + j] = rows[i] * (columns[j] + .5f * noise[j]);
      }
    }
    checkErrors(q, x, 8192, 200);
  }

  /** Log-normal, of either sign. */
  private static float[] sizes(Random random, int n) {
    float[] values = new float[n];
    for (int i = 0; i < n; i++) {
      values[i] = (float) (Math.exp(.7 * random.nextGaussian()) * (random.nextBoolean() ? 1 : -1));
    }
    return values;
  }

  private static void checkErrors(float[] q, float[] x, int k, int tries) {
    double exact = product(q, x);
    double said = Math.sqrt(product(q, q) * product(x, x) * Math.PI / (2 * k));
    double squares = 0;
    double sum = 0;
    for (int seed = 0; seed < tries; seed++) {
      BlockSketch sketch = new BlockSketch(k, seed);
      float[] ofX = new float[k];
      float[] ofQ = new float[k];
      sketch.add(x, 0, ofX);
      sketch.add(q, 0, ofQ);
      SignCodes codes = SignCodes.of(RotatedSketch.of(ofX));
      double error =
          QueryPlanes.fine(RotatedSketch.of(ofQ)).product(codes.signs()) * codes.scale() - exact;
      squares += error * error;
      sum += error;
    }
    // a standard deviation of n draws is off by 1 / sqrt(2 n): 4 of those; a little less is fine,
    // since what q has of x itself is not rounded
    double share = Math.sqrt(squares / tries) / said;
    assertThat(share).isBetween(.6, 1 + 4 / Math.sqrt(2. * tries));
    assertThat(sum / tries).isCloseTo(0, within(4 * said / Math.sqrt(tries)));
  }
}
