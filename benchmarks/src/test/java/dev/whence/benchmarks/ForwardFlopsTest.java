package dev.whence.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.weights.ModelConfig;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class ForwardFlopsTest {
  private static ModelConfig config(String type, int d, int layers, int heads, int kv, int m) {
    return new ModelConfig(
        type,
        1000,
        d,
        layers,
        heads,
        kv,
        8,
        m,
        1e-5,
        "silu",
        new ModelConfig.Rotary(8, List.of(), 1, false),
        512,
        0,
        true,
        false,
        false,
        false,
        false,
        false,
        -1,
        List.of());
  }

  @Property(tries = 50)
  void operationsAreThoseCountedMatrixByMatrixAndPairByPair(
      @ForAll @IntRange(min = 2, max = 40) int tokens, @ForAll @IntRange(min = 1, max = 8) int s) {
    int scored = Math.min(s, tokens - 1);
    ModelConfig c = config("llama", 16, 3, 4, 2, 24);
    double linear = 0;
    double attention = 0;
    for (int layer = 0; layer < 3; layer++) {
      for (int row = 0; row < tokens; row++) {
        boolean needed = layer < 2 || (row >= tokens - scored - 1 && row <= tokens - 2);
        linear += 2 * (2 * 16 * 16); // keys and values: two heads of 8 from 16
        if (needed) {
          linear += 2 * (16 * 32 + 32 * 16 + 3 * 16 * 24); // query, output, gate, up, down
          attention += (row + 1) * 4 * (2 * 8 + 2 * 8); // 4 heads: q k and weight v, 8 wide
        }
      }
    }
    double logits = 2.0 * scored * 16 * 1000;
    ForwardFlops flops = ForwardFlops.of(c, tokens, scored);
    assertThat(flops.linear()).isCloseTo(linear, within(1e-6));
    assertThat(flops.attention()).isCloseTo(attention, within(1e-6));
    assertThat(flops.logits()).isCloseTo(logits, within(1e-6));
    assertThat(flops.total()).isCloseTo(linear + attention + logits, within(1e-6));
  }

  @Test
  void gptNeoXHasTwoMatricesInItsMlp() {
    double gated = ForwardFlops.of(config("llama", 16, 1, 2, 2, 24), 5, 1).linear();
    double plain = ForwardFlops.of(config("gpt_neox", 16, 1, 2, 2, 24), 5, 1).linear();
    assertThat(gated - plain).isCloseTo(2.0 * 16 * 24, within(1e-9));
  }
}
