package dev.whence.attribution.remote;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.fasterxml.jackson.databind.JsonNode;
import dev.whence.engine.EngineException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

class AnswerLimitTest {
  /** As much as vLLM says of a token, and a text of it that few tokens have. */
  private static final String ENTRY =
      "{\"123456\": {\"logprob\": -12.345678901234567, \"rank\": 123456, \"decoded_token\": \""
          + " ".repeat(128)
          + "\"}}";

  private static String vllm(int tokens) {
    return "{\"choices\": [{\"prompt_logprobs\": [null"
        + (", " + ENTRY).repeat(tokens - 1)
        + "]}]}";
  }

  @Test
  void whatAServerSaysOfAPromptIsRead() throws IOException {
    for (int tokens : new int[] {1, 100, 10_000}) {
      AnswerLimit limit = AnswerLimit.ofPrompt(tokens);
      String answer = vllm(tokens);
      assertThat(answer.getBytes(StandardCharsets.UTF_8).length).isLessThan((int) limit.bytes());
      JsonNode read = limit.read(answer);
      assertThat(read.path("choices").path(0).path("prompt_logprobs")).hasSize(tokens);
    }
    assertThat(AnswerLimit.ofPrompt(1).read("").isMissingNode()).isTrue();
  }

  @Test
  void emptyListsAreNotReadHoweverFewBytesTheyTake() {
    AnswerLimit limit = AnswerLimit.ofPrompt(1000);
    String lists = "{\"x\": [" + "[],".repeat(20_000) + "[]]}";
    assertThat((long) lists.length()).isLessThan(limit.bytes());
    assertThatExceptionOfType(EngineException.class)
        .isThrownBy(() -> limit.read(lists))
        .withMessageContaining("more than 1064 KiB, or more than 32192 names and values");
  }

  @Test
  void thereIsAMostForThePromptsOfAnyLength() {
    AnswerLimit most = AnswerLimit.ofPrompt(Integer.MAX_VALUE);
    assertThat(most.bytes()).isEqualTo(32 << 20);
    assertThat(most.jsonTokens()).isEqualTo(1 << 22);
    assertThat(AnswerLimit.ofPrompt(0)).isEqualTo(new AnswerLimit(64 << 10, 8 << 10));
  }
}
