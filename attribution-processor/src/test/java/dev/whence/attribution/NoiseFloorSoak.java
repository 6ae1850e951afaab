package dev.whence.attribution;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.attribution.method.MethodOptions;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationCodec;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.weights.ModelFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable;

/**
 * Measures what {@link NoiseFloor} says, on the quickstart's sample questions: exact LOO in bf16
 * against fp32, and in fp32 against naive LOO on the first question, divided by the square root of
 * the number of scored tokens. Every question is scored with a short response, its first document's
 * title, and a long one, the first words of that document.
 *
 * <p>{@code WHENCE_NOISE_QUESTIONS} says how many questions (6 if unset).
 */
@EnabledIfEnvironmentVariable(
    named = "WHENCE_TEST_MODEL",
    matches = ".+",
    disabledReason = "WHENCE_TEST_MODEL names no model file")
class NoiseFloorSoak {
  private static final Path QUESTIONS =
      Path.of("../quickstart/src/main/resources/dev/whence/quickstart/samples/qa-24.jsonl");

  private static final int LONG_RESPONSE_CHARACTERS = 240;

  @Test
  void nineteenErrorsInTwentyAreBelowTheFloor() throws IOException {
    List<Conversation> conversations = conversations();
    List<Conversation> first = conversations.subList(0, 1);
    List<AttributionResult> exact = attribute(Dtype.FP32, "exact-loo", conversations);
    double[] fp32 = errors(attribute(Dtype.FP32, "naive-loo", first), exact.subList(0, 1));
    double[] bf16 = errors(exact, attribute(Dtype.BF16, "exact-loo", conversations));
    report("fp32", fp32);
    report("bf16", bf16);
    assertThat(quantile(fp32, 0.95)).isLessThanOrEqualTo(NoiseFloor.FP32.perRootToken());
    assertThat(quantile(bf16, 0.95)).isLessThanOrEqualTo(NoiseFloor.BF16.perRootToken());
    // A floor far above the noise would call real influence noise.
    assertThat(quantile(bf16, 0.95)).isGreaterThan(NoiseFloor.BF16.perRootToken() / 4);
  }

  private static List<Conversation> conversations() throws IOException {
    String wanted = System.getenv("WHENCE_NOISE_QUESTIONS");
    int questions = wanted == null ? 6 : Integer.parseInt(wanted);
    List<Conversation> conversations = new ArrayList<>();
    for (String line : Files.readAllLines(QUESTIONS).subList(0, questions)) {
      Conversation asked = ConversationCodec.readPrompt(line);
      Part document =
          asked.parts().filter(part -> part.kind() == PartKind.RETRIEVED).findFirst().orElseThrow();
      String text = document.text();
      conversations.add(asked.answeredBy(asked.model(), document.title() + ".", "stop"));
      conversations.add(
          asked.answeredBy(
              asked.model(),
              text.substring(0, Math.min(LONG_RESPONSE_CHARACTERS, text.length())),
              "length"));
    }
    return conversations;
  }

  private static List<AttributionResult> attribute(
      Dtype dtype, String method, List<Conversation> conversations) {
    try (LocalScorer scorer =
        LocalScorer.open(
            ModelFiles.open(Path.of(System.getenv("WHENCE_TEST_MODEL"))),
            EngineOptions.defaults().withDtype(dtype).withDevice("cpu"))) {
      Attributor attributor =
          new Attributor(
              scorer,
              new AttributionOptions(
                  MethodOptions.of(method).withKeepParagraphs(1),
                  Granularity.SENTENCE,
                  0,
                  false,
                  ""));
      return conversations.stream().map(attributor::attribute).toList();
    }
  }

  /** |tau - tau| / sqrt(scored tokens) of all sources of all responses, sorted. */
  private static double[] errors(List<AttributionResult> exact, List<AttributionResult> rough) {
    List<Double> errors = new ArrayList<>();
    for (int r = 0; r < exact.size(); r++) {
      AttributionResult truth = exact.get(r);
      assertThat(truth.status()).isEqualTo(AttributionStatus.SCORED);
      for (int i = 0; i < truth.sources().size(); i++) {
        double error = Math.abs(truth.sources().get(i).tau() - rough.get(r).sources().get(i).tau());
        errors.add(error / Math.sqrt(truth.responseTokens()));
      }
    }
    return errors.stream().mapToDouble(Double::doubleValue).sorted().toArray();
  }

  private static double quantile(double[] sorted, double share) {
    return sorted[(int) Math.ceil(share * sorted.length) - 1];
  }

  private static void report(String dtype, double[] errors) {
    System.out.printf(
        Locale.ROOT,
        "%s: %d sources, nats per root token: median %.2e, p95 %.2e, p99 %.2e, max %.2e, mean"
            + " %.2e%n",
        dtype,
        errors.length,
        quantile(errors, 0.5),
        quantile(errors, 0.95),
        quantile(errors, 0.99),
        quantile(errors, 1),
        Arrays.stream(errors).average().orElseThrow());
  }
}
