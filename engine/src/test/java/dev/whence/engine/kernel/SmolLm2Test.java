package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.weights.ModelFiles;
import java.io.IOException;
import java.nio.file.Path;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable;

/** A real model, SmolLM2-135M-Instruct in Q4_1, where WHENCE_TEST_MODEL says where it lies. */
@EnabledIfEnvironmentVariable(
    named = "WHENCE_TEST_MODEL",
    matches = ".+",
    disabledReason = "WHENCE_TEST_MODEL is not set: the path of SmolLM2-135M-Instruct.Q4_1.gguf")
class SmolLm2Test {
  private static final double FP32_NATS = 1e-4;

  private static final double BF16_MEAN_NATS = 0.1;

  @Test
  void logProbabilitiesAreThoseOfTransformers() throws IOException {
    JsonNode expected =
        new ObjectMapper()
            .readTree(Path.of("src/test/resources/fixtures/kernel-smollm2.json").toFile());
    double[] fp32 = scores(Dtype.FP32, expected);
    double[] reference = doubles(expected.get("logProbs"));
    assertThat(fp32).containsExactly(reference, within(FP32_NATS));
    double[] bf16 = scores(Dtype.BF16, expected);
    double sum = 0;
    double largest = 0;
    for (int i = 0; i < bf16.length; i++) {
      sum += Math.abs(bf16[i] - reference[i]);
      largest = Math.max(largest, Math.abs(fp32[i] - reference[i]));
    }
    System.out.printf("fp32 largest %.2e, bf16 mean %.4f nats%n", largest, sum / bf16.length);
    assertThat(sum / bf16.length).isLessThan(BF16_MEAN_NATS);
  }

  private static double[] scores(Dtype dtype, JsonNode expected) {
    int[] ids =
        StreamSupport.stream(expected.get("ids").spliterator(), false)
            .mapToInt(JsonNode::asInt)
            .toArray();
    try (ModelFiles files = ModelFiles.open(Path.of(System.getenv("WHENCE_TEST_MODEL")));
        Decoder decoder =
            Decoder.open(
                files.config(),
                files.weights(),
                EngineOptions.defaults().withDtype(dtype).withDevice("cpu"));
        Sequence trunk = Sequence.run(decoder, ids, 1)) {
      return trunk.logProbs();
    }
  }

  private static double[] doubles(JsonNode array) {
    return StreamSupport.stream(array.spliterator(), false)
        .mapToDouble(JsonNode::asDouble)
        .toArray();
  }
}
