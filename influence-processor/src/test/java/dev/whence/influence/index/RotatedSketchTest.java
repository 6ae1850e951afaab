package dev.whence.influence.index;

import static dev.whence.influence.index.Vectors.gaussian;
import static dev.whence.influence.index.Vectors.product;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class RotatedSketchTest {
  /** Of any size, with and without a rest. */
  @Property(tries = 60)
  void scalarProductsStay(@ForAll long seed, @ForAll @IntRange(min = 1, max = 1200) int words) {
    float[] x = gaussian(new Random(seed), 64 * words);
    float[] y = gaussian(new Random(seed + 1), 64 * words);
    double length = Math.sqrt(product(x, x) * product(y, y));
    assertThat(product(RotatedSketch.of(x).values(), RotatedSketch.of(y).values()))
        .isCloseTo(product(x, y), within(1e-5 * length));
  }

  /** 4096 numbers of a block of 32,768 are at the same place modulo 8: each gets 1 / sqrt(4096). */
  @Test
  void aSingleNumberIsSpreadEvenly() {
    float[] one = new float[1 << 15];
    one[1234] = 1;
    float[] spread = RotatedSketch.of(one).values();
    int touched = 0;
    for (int i = 0; i < spread.length; i++) {
      if (spread[i] != 0) {
        assertThat(i % 8).isEqualTo(1234 % 8);
        assertThat(Math.abs(spread[i])).isCloseTo(1 / 64f, within(1e-7f));
        touched++;
      }
    }
    assertThat(touched).isEqualTo(4096);
    assertThat(one[1234]).isEqualTo(1);
  }
}
