package dev.whence.attribution.remote;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.DoubleNode;
import com.fasterxml.jackson.databind.node.IntNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionStatus;
import dev.whence.engine.EngineException.Kind;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A server whose answers are not those of the model that was asked for. */
class RemoteRefusalsTest extends ServedModel {
  private static ObjectNode longer(ObjectNode answer) {
    return answer.put("padding", "x".repeat(1 << 20));
  }

  /** Few bytes, and much of the heap once they are read. */
  private static ObjectNode emptyLists(ObjectNode answer) {
    ArrayNode padding = answer.putArray("padding");
    for (int i = 0; i < 15_000; i++) {
      padding.addArray();
    }
    return answer;
  }

  @Test
  void anAnswerThatIsTooLargeForWhatWasAskedIsThatPromptsFaultAndNotAskedForAgain() {
    List<UnaryOperator<ObjectNode>> changes =
        List.of(RemoteRefusalsTest::longer, RemoteRefusalsTest::emptyLists);
    for (UnaryOperator<ObjectNode> change : changes) {
      try (RemoteScorer remote = remote(options(RemoteOptions.Protocol.VLLM))) {
        AtomicBoolean first = new AtomicBoolean(true);
        server.change = answer -> first.getAndSet(false) ? change.apply(answer) : answer;
        AttributionResult result = attribute(remote, "exact-loo");
        assertThat(result.status()).isEqualTo(AttributionStatus.UNSUPPORTED);
        assertThat(result.reason()).contains("larger than one to what was asked");
      }
      server.change = UnaryOperator.identity();
    }
  }

  @Test
  void aServerWhoseAnswersAreTooLargeIsRefusedAtTheStart() {
    refused(RemoteOptions.Protocol.VLLM, RemoteRefusalsTest::longer, "larger than");
    refused(RemoteOptions.Protocol.VLLM, RemoteRefusalsTest::emptyLists, "larger than");
    server.others = 2000;
    remote(options(RemoteOptions.Protocol.VLLM)).close();
    server.others = 50_000; // 1.3 MB
    refused(RemoteOptions.Protocol.VLLM, answer -> answer, "larger than");
  }

  @ParameterizedTest
  @EnumSource
  void anotherModelIsRefusedAtTheStart(RemoteOptions.Protocol protocol) {
    assertThatThrownBy(() -> remote(options(protocol).withModel("acme/other")))
        .hasMessageContaining("does not serve the model 'acme/other'");
  }

  private static ObjectNode without(ObjectNode answer, String... path) {
    JsonNode at = answer;
    for (int i = 0; i < path.length - 1; i++) {
      at = at.isArray() ? at.get(0) : at.path(path[i]);
      at = at.isArray() ? at.get(0) : at;
    }
    ((ObjectNode) at).remove(path[path.length - 1]);
    return answer;
  }

  @Test
  void answersWithoutLogProbabilitiesAreRefusedAtTheStartWithAdvice() {
    refused(
        RemoteOptions.Protocol.SGLANG,
        answer -> without(answer, "meta_info", "input_token_logprobs"),
        "no log-probabilities of the prompt: SGLang needs");
    refused(
        RemoteOptions.Protocol.VLLM,
        answer -> without(answer, "choices", "prompt_logprobs"),
        "vLLM needs prompt_logprobs");
    refused(
        RemoteOptions.Protocol.LLAMA_CPP,
        answer -> without(answer, "choices", "logprobs"),
        "logits_all");
  }

  @Test
  void answersAboutOtherTokensAreRefusedAndLaterAreThatInputsFault() {
    UnaryOperator<ObjectNode> fewer =
        answer -> {
          ((ObjectNode) answer.path("meta_info")).put("prompt_tokens", 1);
          return answer;
        };
    refused(RemoteOptions.Protocol.SGLANG, fewer, "reads 1 tokens where");
    UnaryOperator<ObjectNode> otherId = RemoteRefusalsTest::withAnotherToken;
    refused(RemoteOptions.Protocol.SGLANG, otherId, "another tokenizer");
    refused(
        RemoteOptions.Protocol.VLLM,
        answer -> {
          ((ArrayNode) answer.path("choices").get(0).path("prompt_logprobs")).remove(0);
          return answer;
        },
        "another tokenizer");
    refused(
        RemoteOptions.Protocol.LLAMA_CPP,
        answer -> {
          ((ObjectNode) answer.path("usage")).put("prompt_tokens", 1);
          return answer;
        },
        "reads 1 tokens where");
    refused(
        RemoteOptions.Protocol.SGLANG,
        answer -> {
          ArrayNode entries = (ArrayNode) answer.path("meta_info").path("input_token_logprobs");
          ((ArrayNode) entries.get(entries.size() - 1)).set(0, DoubleNode.valueOf(2.5));
          return answer;
        },
        "no log-probability");
    try (RemoteScorer remote = remote(options(RemoteOptions.Protocol.SGLANG))) {
      server.change = answer -> isShort(answer) ? answer : otherId.apply(answer);
      AttributionResult result = attribute(remote, "exact-loo");
      assertThat(result.status()).isEqualTo(AttributionStatus.UNSUPPORTED);
      assertThat(result.reason()).contains("another tokenizer");
    }
  }

  private static ObjectNode withAnotherToken(ObjectNode answer) {
    ArrayNode entries = (ArrayNode) answer.path("meta_info").path("input_token_logprobs");
    ((ArrayNode) entries.get(entries.size() - 1)).set(1, IntNode.valueOf(-5));
    return answer;
  }

  /** As the prompt is by which a scorer sees whether the server works. */
  private static boolean isShort(ObjectNode answer) {
    return answer.path("meta_info").path("prompt_tokens").asInt() < 60;
  }

  @Test
  void aServerThatScoresNoPromptAnyMoreIsTheEnvironmentsFault() {
    try (RemoteScorer remote = remote(options(RemoteOptions.Protocol.SGLANG))) {
      server.change = RemoteRefusalsTest::withAnotherToken;
      fails(Kind.ENVIRONMENT, remote, "another tokenizer");
      server.change = answer -> without(answer, "meta_info", "input_token_logprobs");
      fails(Kind.ENVIRONMENT, remote, "no log-probabilities of the prompt");
      server.change = UnaryOperator.identity();
      server.failureStatus = 400;
      server.failures = 1000;
      fails(Kind.ENVIRONMENT, remote, "refuses the prompt with HTTP status 400");
      server.failures = 0;
      assertThat(attribute(remote, "exact-loo").status()).isEqualTo(AttributionStatus.SCORED);
    }
  }

  @ParameterizedTest
  @EnumSource
  void aServerThatServesAnotherModelByNowIsTheEnvironmentsFault(RemoteOptions.Protocol protocol) {
    try (RemoteScorer unnamed = always(options(protocol));
        RemoteScorer named = always(options(protocol).withModel(StubServer.MODEL))) {
      server.served = "acme/other";
      fails(Kind.ENVIRONMENT, unnamed, "serves another model than it did");
      fails(Kind.ENVIRONMENT, named, "does not serve the model 'acme/served'");
      server.served = StubServer.MODEL;
      assertThat(attribute(unnamed, "exact-loo").status()).isEqualTo(AttributionStatus.SCORED);
    }
  }

  @Test
  void anAnswerThatNamesAnotherModelIsTheEnvironmentsFault() {
    try (RemoteScorer remote = remote(options(RemoteOptions.Protocol.VLLM))) {
      server.change = answer -> answer.put("model", "acme/other");
      fails(Kind.ENVIRONMENT, remote, "answers with another model");
    }
  }

  @Test
  void aServerThatIsAskedByNameAndAnswersForAnotherModelIsRefused() {
    RemoteOptions named = options(RemoteOptions.Protocol.VLLM).withModel(StubServer.MODEL);
    remote(named).close();
    server.change = answer -> answer.put("model", "acme/other");
    assertThatThrownBy(() -> remote(named))
        .hasMessageContaining("answers with another model than 'acme/served'");
  }
}
