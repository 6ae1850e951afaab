package dev.whence.attribution.remote;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionStatus;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.WorkEstimate;
import java.io.IOException;
import java.net.URI;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.junit.jupiter.api.Test;

/** A server that is away, busy or slow, and how long it is waited for. */
class RemoteFailuresTest extends ServedModel {
  @Test
  void aServerThatIsBusyIsAskedAgain() {
    server.failures = 2;
    try (RemoteScorer remote = remote(options(RemoteOptions.Protocol.VLLM))) {
      assertThat(attribute(remote, "exact-loo").status()).isEqualTo(AttributionStatus.SCORED);
    }
  }

  @Test
  void aServerThatStaysAwayIsTheEnvironmentsFaultAndNoBodyIsTold() {
    try (RemoteScorer remote = remote(options(RemoteOptions.Protocol.SGLANG))) {
      server.failures = 1000;
      server.requests.clear();
      fails(Kind.ENVIRONMENT, remote, "answers with HTTP status 503");
      assertThat(server.requests).hasSize(3);
      // Where the last ten calls failed it is left alone.
      for (int i = 0; i < 3; i++) {
        fails(Kind.ENVIRONMENT, remote, "the server at 127.0.0.1");
      }
      fails(Kind.ENVIRONMENT, remote, "left alone for a while");
      assertThat(server.requests).hasSizeBetween(9, 11);
    }
  }

  @Test
  void aServerThatIsSlowOrNotThereIsNamed() {
    RemoteOptions hasty =
        options(RemoteOptions.Protocol.SGLANG).withPatience(Duration.ofMillis(500), 1);
    try (RemoteScorer remote = remote(hasty)) {
      server.delayMillis = 3000;
      fails(Kind.ENVIRONMENT, remote, "did not answer within 500 ms");
    }
    RemoteOptions nowhere =
        RemoteOptions.of(URI.create("http://127.0.0.1:1"), RemoteOptions.Protocol.VLLM)
            .withPatience(SOON, 2);
    assertThatThrownBy(() -> remote(nowhere)).hasMessageContaining("can not be reached");
  }

  @Test
  void aPromptThatTheServerRefusesIsNotScorable() {
    server.failureStatus = 400;
    try (RemoteScorer remote = remote(options(RemoteOptions.Protocol.VLLM))) {
      server.failures = 1;
      AttributionResult result = attribute(remote, "exact-loo");
      assertThat(result.status()).isEqualTo(AttributionStatus.UNSUPPORTED);
      assertThat(result.reason()).contains("refuses the prompt with HTTP status 400");
    }
  }

  @Test
  void anErrorInACallIsThrownAsItIs() {
    Error error = new OutOfMemoryError("in a test");
    assertThatThrownBy(
            () ->
                ServerCalls.failure(
                    new ExecutionException(new IOException("wrapped", error)), AnswerLimit.MODELS))
        .isSameAs(error);
    try (RemoteScorer remote = remote(options(RemoteOptions.Protocol.VLLM))) {
      assertThatThrownBy(() -> remote.await(CompletableFuture.failedFuture(error))).isSameAs(error);
    }
  }

  @Test
  void aWrongKeyIsTheEnvironmentsFault() {
    server.failures = 1;
    server.failureStatus = 401;
    RemoteOptions options = options(RemoteOptions.Protocol.VLLM).withApiKey("k-1\n");
    assertThatThrownBy(() -> remote(options)).hasMessageContaining("check address and API key");
    assertThat(server.keys).containsExactly("Bearer k-1");
    assertThatThrownBy(() -> options(RemoteOptions.Protocol.VLLM).withApiKey("k 1"))
        .hasMessageContaining("API key")
        .hasMessageNotContaining("k 1");
  }

  @Test
  void aServerThatScoresNothingInTimeCountsAsFailingAlthoughItSaysWhatItServes() {
    RemoteOptions.Patience patience = new RemoteOptions.Patience(1, Duration.ofSeconds(1));
    try (RemoteScorer remote =
        always(options(RemoteOptions.Protocol.VLLM).withPatience(patience))) {
      assertThat(remote.failures()).isZero();
      server.delayMillis = 15_000;
      fails(Kind.ENVIRONMENT, remote, "takes too long");
      fails(Kind.ENVIRONMENT, remote, "takes too long");
      assertThat(remote.failures()).isEqualTo(2);
      server.delayMillis = 0;
      assertThat(attribute(remote, "exact-loo").status()).isEqualTo(AttributionStatus.SCORED);
    }
  }

  @Test
  void aServerThatFailsTenTimesInARowIsLeftAloneForAWhile() throws Exception {
    try (ServerCalls calls = new ServerCalls(options(RemoteOptions.Protocol.VLLM))) {
      for (int i = 0; i < 10; i++) {
        calls.failed();
      }
      assertThatThrownBy(() -> calls.post("/v1/completions", "{}", AnswerLimit.MODELS).get())
          .hasMessageContaining("left alone for a while");
      assertThat(calls.get("/v1/models", AnswerLimit.MODELS).get()).contains(StubServer.MODEL);
    }
  }

  @Test
  void theCallsOfOneRecordShareTheTimeThatItMayTake() {
    RemoteOptions.Patience patience = new RemoteOptions.Patience(1, Duration.ofSeconds(2));
    try (RemoteScorer remote =
        remote(options(RemoteOptions.Protocol.SGLANG).withPatience(patience))) {
      server.delayMillis = 1000; // each call by itself is quick enough: trunk, then branches
      fails(Kind.ENVIRONMENT, remote, "takes too long");
      // The next try gets longer; what a record may cost is held against what was measured.
      WorkEstimate measured = remote.estimate(1000, 10, List.of());
      assertThat(remote.expected(measured).seconds()).isGreaterThan(1.9 * measured.seconds());
      server.delayMillis = 0;
      assertThat(attribute(remote, "exact-loo").status()).isEqualTo(AttributionStatus.SCORED);
      WorkEstimate after = remote.estimate(1000, 10, List.of());
      assertThat(remote.expected(after)).isEqualTo(after);
    }
  }

  @Test
  void whatTakesLongerThanTheLeastTimeGetsMoreAtTheNextTry() {
    RemoteOptions.Patience patience = new RemoteOptions.Patience(10, Duration.ofSeconds(1));
    try (RemoteScorer remote =
        remote(options(RemoteOptions.Protocol.SGLANG).withPatience(patience))) {
      server.delayMillis = 1000; // three quarters of the least time are 750
      int tries = 0;
      while (true) {
        try {
          assertThat(attribute(remote, "exact-loo").status()).isEqualTo(AttributionStatus.SCORED);
          break;
        } catch (EngineException e) {
          assertThat(e.kind()).isEqualTo(Kind.ENVIRONMENT);
          assertThat(++tries).isLessThan(10);
        }
      }
      assertThat(tries).isPositive();
    }
  }

  @Test
  void whatIsGivenUpHoldsNoConnectionAndIsNotAskedAgain() {
    RemoteOptions one =
        options(RemoteOptions.Protocol.SGLANG)
            .withPatience(new RemoteOptions.Patience(1, Duration.ofSeconds(1)));
    try (RemoteScorer remote = remote(atATime(1, one))) {
      server.requests.clear();
      server.delayMillis = 15_000;
      fails(Kind.ENVIRONMENT, remote, "takes too long");
      server.delayMillis = 0;
      // The one thread that sends is free again, long before the server has answered.
      assertThat(attribute(remote, "exact-loo").status()).isEqualTo(AttributionStatus.SCORED);
      assertThat(server.requests).hasSize(1 + 5); // given up; trunk, three sources, no context
    }
  }
}
