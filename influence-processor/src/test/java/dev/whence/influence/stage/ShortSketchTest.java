package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.influence.InfluenceException;
import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.junit.jupiter.api.Test;

class ShortSketchTest {

  @Provide
  Arbitrary<List<Float>> sketches() {
    return Arbitraries.floats().between(-0x1p60f, 0x1p60f).list().ofMinSize(1).ofMaxSize(300);
  }

  /** Beside half a step there is the rounding of the step itself, and of the product, in fp32. */
  @Property
  void noElementIsWrongByMoreThanHalfAStep(@ForAll("sketches") List<Float> values) {
    float[] sketch = new float[values.size()];
    float largest = 0;
    for (int i = 0; i < sketch.length; i++) {
      sketch[i] = values.get(i);
      largest = Math.max(largest, Math.abs(sketch[i]));
    }
    ShortSketch encoded = ShortSketch.of(sketch);
    float[] decoded = encoded.floats();
    assertThat(encoded.bytes()).hasSize(2 * sketch.length);
    assertThat((double) encoded.step()).isLessThanOrEqualTo(largest / 32767.0 * (1 + 1e-6));
    for (int i = 0; i < sketch.length; i++) {
      assertThat(Math.abs((double) decoded[i] - sketch[i]))
          .isLessThanOrEqualTo(encoded.step() * (0.5 + 0.004) + Float.MIN_VALUE);
    }
  }

  @Test
  void zerosStayZeros() {
    assertThat(ShortSketch.of(new float[3]).floats()).containsExactly(0, 0, 0);
  }

  @Test
  void aVectorThatIsNotFiniteIsRefused() {
    assertThatThrownBy(() -> ShortSketch.of(new float[] {1, Float.NaN}))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("not finite");
    assertThatThrownBy(() -> ShortSketch.of(new float[] {1, Float.NEGATIVE_INFINITY}))
        .hasMessageContaining("not finite");
  }
}
