package dev.whence.influence.index;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.assertj.core.api.Assertions.withinPercentage;

import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class BlockSketchTest {
  private static float[] random(Random random, int n) {
    float[] values = new float[n];
    for (int i = 0; i < n; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  private static double dot(float[] x, float[] y) {
    double sum = 0;
    for (int i = 0; i < x.length; i++) {
      sum += (double) x[i] * y[i];
    }
    return sum;
  }

  @Test
  void productsOfSketchesAreThoseOfTheVectorsOnAverageWithTheStatedError() {
    Random random = new Random(1);
    float[] x = random(random, 2000);
    float[] y = random(random, 2000);
    for (int i = 0; i < x.length; i++) {
      y[i] += 0.3f * x[i];
    }
    // (|x|^2 |y|^2 + (x'y)^2) / k, less the diagonal
    assertError(x, y, 100, 0.85, 1.25);
  }

  /** As gradients of few tokens are, with rows of the length of a block: all are alike. */
  @Test
  void theErrorIsNoLargerWhereBlocksAreAlike() {
    Random random = new Random(2);
    float[] of = random(random, BlockSketch.BLOCK);
    float[] to = random(random, 60);
    float[] x = new float[of.length * to.length];
    float[] y = new float[x.length];
    for (int i = 0; i < x.length; i++) {
      x[i] = of[i % of.length] * to[i / of.length];
      y[i] = of[i % of.length] * to[(i / of.length + 1) % to.length];
    }
    assertError(x, y, 2000, 0.8, 1.25);
  }

  /** Root mean square of errors over seeds, in units of |x| |y| / sqrt(k), and their mean. */
  private static void assertError(float[] x, float[] y, int buckets, double least, double most) {
    double exact = dot(x, y);
    double bound = Math.sqrt(dot(x, x) * dot(y, y) / buckets);
    int seeds = 400;
    double mean = 0;
    double square = 0;
    for (int seed = 0; seed < seeds; seed++) {
      float[] a = new float[buckets];
      float[] b = new float[buckets];
      BlockSketch sketch = new BlockSketch(buckets, seed);
      sketch.add(x, 0, a);
      sketch.add(y, 0, b);
      double error = dot(a, b) - exact;
      mean += error / seeds;
      square += error * error / seeds;
    }
    assertThat(mean).isCloseTo(0, within(4 * bound / Math.sqrt(seeds)));
    assertThat(Math.sqrt(square)).isBetween(least * bound, most * bound);
  }

  /**
   * Where a coordinate goes is part of the format of indexes, whose name changes with it. The
   * places are those of the version that began the format.
   */
  @Test
  void coordinatesGoWhereTheyAlwaysDid() {
    BlockSketch sketch = new BlockSketch(1000, 1);
    List<String> places = new ArrayList<>();
    for (long coordinate : new long[] {0, 1, 511, 512, 1_000_003, 1L << 33}) {
      float[] into = new float[1000];
      sketch.add(new float[] {1}, coordinate, into);
      for (int i = 0; i < into.length; i++) {
        if (into[i] != 0) {
          places.add((into[i] > 0 ? "+" : "-") + i);
        }
      }
    }
    assertThat(places).containsExactly("-338", "-339", "+849", "-566", "-329", "+383");
  }

  @Property(tries = 50)
  void howAVectorIsCutIntoPiecesMakesNoDifference(
      @ForAll @IntRange(max = 3000) int cut, @ForAll @IntRange(min = 1, max = 2000) int buckets) {
    float[] x = random(new Random(cut), 3000);
    BlockSketch sketch = new BlockSketch(buckets, 7);
    float[] whole = new float[buckets];
    sketch.add(x, 5, whole);
    float[] pieces = new float[buckets];
    sketch.add(Arrays.copyOfRange(x, 0, cut), 5, pieces);
    sketch.add(Arrays.copyOfRange(x, cut, 3000), 5 + cut, pieces);
    assertThat(pieces).isEqualTo(whole);
  }

  /** Sums of squares keep their digits where fp32 holds the numbers, but not their squares. */
  @ParameterizedTest
  @ValueSource(doubles = {1e-25, 1, 1e20})
  void normsOfAnySizeHaveAllTheirDigits(double size) {
    float[] values = new float[20_000];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (size * (i % 7 - 3));
    }
    double squares = exact(values);
    for (int buckets : new int[] {256, 4096}) {
      BlockSketch sketch = new BlockSketch(buckets, 1);
      assertThat(sketch.add(FloatBuffer.wrap(values), 3, new float[buckets]))
          .isCloseTo(squares, withinPercentage(1e-4));
      values[buckets] = Float.NaN;
      assertThat(sketch.add(FloatBuffer.wrap(values), 3, new float[buckets])).isNaN();
      values[buckets] = 0;
      squares = exact(values);
    }
  }

  private static double exact(float[] values) {
    double squares = 0;
    for (float value : values) {
      squares += (double) value * value;
    }
    return squares;
  }
}
