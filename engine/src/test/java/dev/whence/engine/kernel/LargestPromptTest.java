package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.engine.kernel.LargestPrompt.Peak;
import org.junit.jupiter.api.Test;

/** The reduced twin of {@link LargestPromptSoak}, on a random model with 4,096 positions. */
class LargestPromptTest {
  /**
   * One whole matrix of attention scores of the trunk would be 16 x 4,096 x 4,096 fp32 values: a
   * GiB, beside the quarter of a GiB or more that the JVM and the native library take.
   */
  @Test
  void aPromptOfTwoThousandSourcesStaysWithinAGibibyteBesideTheWeights() {
    Peak peak = LargestPrompt.measure("random", "3");
    assertThat(peak.resident()).isLessThan(peak.weights() + (1L << 30));
  }
}
