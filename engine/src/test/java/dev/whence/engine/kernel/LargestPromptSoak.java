package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.engine.kernel.LargestPrompt.Peak;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable;

/** SmolLM2-135M-Instruct with a prompt of all its 8,192 positions. */
@EnabledIfEnvironmentVariable(
    named = "WHENCE_TEST_MODEL",
    matches = ".+",
    disabledReason = "WHENCE_TEST_MODEL is not set: the path of SmolLM2-135M-Instruct.Q4_1.gguf")
class LargestPromptSoak {
  @Test
  void twentyBranchesOfAPromptOfTwoThousandSourcesStayWithinTwoGibibytesBesideTheWeights() {
    Peak peak = LargestPrompt.measure("model", System.getenv("WHENCE_TEST_MODEL"), "20");
    System.out.printf(
        "8,192 tokens, 2,000 sources: at most %.0f MiB resident, weights %.0f MiB%n",
        peak.resident() / 1048576.0, peak.weights() / 1048576.0);
    assertThat(peak.resident()).isLessThanOrEqualTo(peak.weights() + (2L << 30));
  }
}
