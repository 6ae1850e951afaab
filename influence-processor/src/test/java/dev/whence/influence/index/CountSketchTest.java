package dev.whence.influence.index;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.kernel.TorchRuntime;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class CountSketchTest {
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
    double exact = dot(x, y);
    int buckets = 100;
    double bound = Math.sqrt(dot(x, x) * dot(y, y) / buckets);
    int seeds = 400;
    double mean = 0;
    double square = 0;
    for (int seed = 0; seed < seeds; seed++) {
      float[] a = new float[buckets];
      float[] b = new float[buckets];
      CountSketch sketch = new CountSketch(buckets, seed);
      sketch.add(x, 0, a);
      sketch.add(y, 0, b);
      double error = dot(a, b) - exact;
      mean += error / seeds;
      square += error * error / seeds;
    }
    assertThat(mean).isCloseTo(0, within(4 * bound / Math.sqrt(seeds)));
    // (|x|^2 |y|^2 + (x'y)^2) / k, less the diagonal
    assertThat(Math.sqrt(square)).isBetween(0.85 * bound, 1.25 * bound);
  }

  @Property(tries = 50)
  void howAVectorIsCutIntoPiecesMakesNoDifference(
      @ForAll @IntRange(max = 300) int cut, @ForAll @IntRange(min = 1, max = 64) int buckets) {
    float[] x = random(new Random(cut), 300);
    CountSketch sketch = new CountSketch(buckets, 7);
    float[] whole = new float[buckets];
    sketch.add(x, 5, whole);
    float[] pieces = new float[buckets];
    sketch.add(java.util.Arrays.copyOfRange(x, 0, cut), 5, pieces);
    sketch.add(java.util.Arrays.copyOfRange(x, cut, 300), 5 + cut, pieces);
    assertThat(pieces).isEqualTo(whole);
  }

  /** More coordinates than a thread hashes at once. */
  @Test
  void coordinatesGoToThePlacesThatAreWorkedOutBefore() {
    int n = 150_000;
    float[] x = random(new Random(3), n);
    CountSketch sketch = new CountSketch(1000, 7);
    float[] whole = new float[1000];
    sketch.add(x, 5, whole);
    TorchRuntime.workTogether(2);
    int[] places = sketch.places(5, n);
    float[] pieces = new float[1000];
    CountSketch.add(x, 100, places, 0, pieces);
    CountSketch.add(java.util.Arrays.copyOfRange(x, 100, n), n - 100, places, 100, pieces);
    assertThat(pieces).isEqualTo(whole);
  }
}
