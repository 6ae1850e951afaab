package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import ai.djl.Device;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.ModelConfig.Rotary;
import java.util.Collections;
import org.junit.jupiter.api.Test;

class PackBudgetTest {
  private static final long GIB = 1L << 30;

  /** The shape of Llama 3 8B. */
  private static final ModelConfig LLAMA_8B = model(4096, 32, 32, 8, 128, 14_336, 8192);

  @Test
  void aTokensBytesAreThoseOfTheFormula() {
    // bf16, p = 2: d = 4096, q = 4096, k = 1024, f = 14336, h = 128, T = 8192, R = 4
    long stream = 8 * 4096 + 2 * 2 * 4096; // 49,152
    long attention = 2 * (4096 + 2 * 1024) + 2 * 3 * 1024 + 2 * 2 * 4096; // 34,816
    long queries = 4 * (2 * 4096 + 4 * 128) + 8 * 4096; // 67,584
    long mlp = 2 * 2 * 14_336; // 57,344
    long scored = 12 * 4096; // 49,152
    long masks = 2 * 8192; // 16,384
    assertThat(stream + attention + queries + mlp + scored + masks).isEqualTo(274_432);
    assertThat(PackBudget.bytesPerToken(LLAMA_8B, Precision.BF16, 8192)).isEqualTo(274_432);
  }

  @Test
  void aPackTakesWhatTheTrunkAndTheBlocksLeaveOfNineTenthsOfTheMemory() {
    // trunk: 2 * 32 layers * 1024 * 2 bytes = 131,072 per token, 8,192 tokens: 1 GiB
    // blocks: 3 * 2 * 2^25 + 3 * 4 * 2^23 = 301,989,888
    long free = 4 * GIB;
    long usable = free / 10 * 9 - GIB - 301_989_888;
    assertThat(PackBudget.tokens(LLAMA_8B, Precision.BF16, free, 0))
        .isEqualTo((int) (usable / 274_432))
        .isBetween(PackBudget.LEAST + 1, PackBudget.MOST - 1);
    assertThat(PackBudget.tokens(LLAMA_8B, Precision.BF16, free, GIB))
        .isEqualTo((int) ((usable - GIB) / 274_432));
  }

  @Test
  void lessMemoryAndLargerElementsGiveSmallerPacksWithinBounds() {
    int before = PackBudget.MOST;
    for (long free = 100 * GIB; free >= 0; free -= GIB / 2) {
      int tokens = PackBudget.tokens(LLAMA_8B, Precision.BF16, free, 0);
      assertThat(tokens).isBetween(PackBudget.LEAST, before);
      assertThat(PackBudget.tokens(LLAMA_8B, Precision.FP32, free, 0)).isLessThanOrEqualTo(tokens);
      before = tokens;
    }
    assertThat(before).isEqualTo(PackBudget.LEAST);
    assertThat(PackBudget.tokens(LLAMA_8B, Precision.BF16, -GIB, 0)).isEqualTo(PackBudget.LEAST);
    assertThat(PackBudget.tokens(LLAMA_8B, Precision.BF16, 100 * GIB, 0))
        .isEqualTo(PackBudget.MOST);
  }

  @Test
  void aModelOfFewPositionsKeepsNoRoomForALongTrunk() {
    ModelConfig few = model(4096, 32, 32, 8, 128, 14_336, 2048);
    long usable = 2 * GIB / 10 * 9 - 2048 * 131_072L - 301_989_888;
    assertThat(PackBudget.tokens(few, Precision.BF16, 2 * GIB, 0))
        .isEqualTo((int) (usable / (274_432 - 2 * (8192 - 2048))));
  }

  @Test
  void aCpuKeepsTheFixedBudgetAndANumberThatIsGivenCounts() {
    EngineOptions options = EngineOptions.defaults();
    NativeMemory memory = new NativeMemory();
    assertThat(options.packTokens()).isZero();
    assertThat(PackBudget.of(LLAMA_8B, Precision.BF16, Device.cpu(), options, memory))
        .isEqualTo(EngineOptions.DEFAULT_PACK_TOKENS);
    assertThat(
            PackBudget.of(
                LLAMA_8B, Precision.BF16, Device.gpu(0), options.withPackTokens(77), memory))
        .isEqualTo(77);
  }

  private static ModelConfig model(
      int hidden, int layers, int heads, int kv, int headDim, int inner, int positions) {
    return RandomModel.plainLlama(
        128_256,
        hidden,
        layers,
        heads,
        kv,
        headDim,
        inner,
        new Rotary(headDim, Collections.nCopies(headDim / 2, 1.0), 1, false),
        positions,
        false);
  }
}
