package dev.whence.attribution.remote;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionStatus;
import dev.whence.attribution.Attributor;
import dev.whence.attribution.Granularity;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.engine.Branch;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.Trunk;
import dev.whence.engine.View;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.engine.weights.ModelText;
import java.net.URI;
import java.time.Duration;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A served model gives what the same model gives in this process. */
class RemoteScorerTest extends ServedModel {
  private static final String BEGINS = "<|endoftext|>";
  private static final String PLAIN =
      "{% for message in messages %}{{ message['content'] }}\n{% endfor %}";

  @ParameterizedTest
  @EnumSource
  void aServedModelScoresAsTheSameModelHere(RemoteOptions.Protocol protocol) {
    try (RemoteScorer remote = remote(options(protocol).withModel(StubServer.MODEL))) {
      AttributionResult served = attribute(remote, "exact-loo");
      AttributionResult expected = attribute(local, "exact-loo");
      assertThat(served.status()).isEqualTo(AttributionStatus.SCORED);
      assertThat(served.sources()).hasSize(3);
      for (int i = 0; i < 3; i++) {
        assertThat(served.sources().get(i).tau())
            .isCloseTo(expected.sources().get(i).tau(), within(1e-3));
        assertThat(served.sources().get(i).exact()).isTrue();
      }
      assertThat(served.groundedness().getAsDouble())
          .isCloseTo(expected.groundedness().getAsDouble(), within(1e-3));
      assertThat(served.scorer().model()).isEqualTo(StubServer.MODEL);
      assertThat(served.scorer().device()).isEqualTo("remote");
      assertThat(expected.sources()).anyMatch(source -> Math.abs(source.tau()) > 0.02);
    }
  }

  /** Served by llama-cpp-python, and the same in this process, from files with this template. */
  private void llamaCppScoresAsTheSameModelHere(Optional<String> template) {
    try (LocalScorer here =
            LocalScorer.open(
                ModelFiles.open(files, template),
                EngineOptions.defaults().withDtype(Dtype.FP32).withDevice("cpu"));
        RemoteScorer remote =
            RemoteScorer.open(
                ModelText.open(files, template), options(RemoteOptions.Protocol.LLAMA_CPP))) {
      AttributionResult served = attribute(remote, "exact-loo");
      AttributionResult expected = attribute(here, "exact-loo");
      assertThat(served.status()).isEqualTo(AttributionStatus.SCORED);
      assertThat(served.promptTokens()).isEqualTo(expected.promptTokens());
      assertThat(served.logLikelihood().getAsDouble())
          .isCloseTo(expected.logLikelihood().getAsDouble(), within(1e-3));
      for (int i = 0; i < 3; i++) {
        assertThat(served.sources().get(i).tau())
            .isCloseTo(expected.sources().get(i).tau(), within(1e-3));
      }
    }
  }

  @Test
  void llamaCppMayPutTheBeginTokenThatTheTemplateWritesBeforeThePromptItself() {
    server.begin = local.tokenizer().idOf("<|endoftext|>");
    server.addsBegin = true;
    llamaCppScoresAsTheSameModelHere(Optional.of(BEGINS + PLAIN));
  }

  @Test
  void llamaCppMayFindTheBeginTokenInThePrompt() {
    server.begin = local.tokenizer().idOf("<|endoftext|>");
    llamaCppScoresAsTheSameModelHere(Optional.of(BEGINS + PLAIN));
  }

  @Test
  void llamaCppMovesLogProbabilitiesWherePromptsDoNotBeginWithTheBeginTokenAndIsRefused() {
    server.begin = local.tokenizer().idOf("<|endoftext|>");
    assertThatExceptionOfType(EngineException.class)
        .isThrownBy(() -> remote(options(RemoteOptions.Protocol.LLAMA_CPP)))
        .withMessageContaining("not of the tokens beside them")
        .satisfies(e -> assertThat(e.kind()).isEqualTo(Kind.MODEL));
  }

  @Test
  void llamaCppIsRefusedWhereItPutsABeginTokenThatTheTemplateDoesNotWrite() {
    server.begin = local.tokenizer().idOf("<|endoftext|>");
    server.addsBegin = true;
    refused(RemoteOptions.Protocol.LLAMA_CPP, answer -> answer, "tokens where");
  }

  @Test
  void aRawPromptThatDoesNotBeginLikeTheOthersIsNotScoredByLlamaCpp() {
    try (RemoteScorer remote = remote(options(RemoteOptions.Protocol.LLAMA_CPP))) {
      AttributionResult result =
          new Attributor(
                  remote,
                  new AttributionOptions(
                      MethodOptions.of("exact-loo"), Granularity.SENTENCE, 0, false, ""))
              .attribute(
                  dev.whence.attribution.toy.Conversations.raw(
                      "Kesta.",
                      dev.whence.attribution.toy.Conversations.document("d", "Belfa lives. "),
                      dev.whence.attribution.toy.Conversations.question("Where?")));
      assertThat(result.status()).isEqualTo(AttributionStatus.UNSUPPORTED);
      assertThat(result.reason()).contains("not of the tokens beside them");
    }
  }

  @Test
  void whatSharesMostWithTheTrunkIsSentFirst() {
    try (RemoteScorer remote = remote(atATime(1, options(RemoteOptions.Protocol.SGLANG)))) {
      attribute(remote, "exact-loo");
      JsonNode trunk = server.requests.get(1).path("input_ids"); // the first was the probe
      List<Integer> shared =
          server.requests.subList(2, 5).stream()
              .map(request -> common(trunk, request.path("input_ids")))
              .toList();
      assertThat(shared).isSortedAccordingTo((a, b) -> b - a).doesNotHaveDuplicates();
    }
  }

  /** The trunk's first tokens, each time some others, and two of its own. */
  private static List<Branch> branches(int trunkTokens, int count) {
    return IntStream.range(0, count)
        .mapToObj(
            i -> {
              int shared = trunkTokens - 1 - (7 * i) % 20;
              return new Branch(
                  List.of(new View(0, shared, 0)),
                  new int[] {40 + i, 41},
                  new int[] {shared, shared + 1},
                  1);
            })
        .toList();
  }

  @Test
  void whileTheFirstAnswerIsLateFewOthersAreAskedFor() throws Exception {
    int[] tokens = IntStream.range(30, 70).toArray();
    List<Branch> branches = branches(tokens.length, 30);
    List<double[]> expected;
    try (Trunk trunk = local.trunk(tokens, 1)) {
      expected = local.score(trunk, branches);
    }
    CountDownLatch late = new CountDownLatch(1);
    try (RemoteScorer remote = remote(atATime(2, options(RemoteOptions.Protocol.SGLANG)));
        Trunk trunk = remote.trunk(tokens, 1)) {
      server.change =
          answer -> {
            JsonNode entries = answer.path("meta_info").path("input_token_logprobs");
            if (entries.path(entries.size() - 2).path(1).asInt() == 40) { // the first branch
              await(late);
            }
            return answer;
          };
      server.requests.clear();
      CompletableFuture<List<double[]>> scores =
          CompletableFuture.supplyAsync(() -> remote.score(trunk, branches));
      long end = System.nanoTime() + SOON.toNanos();
      while (server.requests.size() < 4 && System.nanoTime() < end) {
        Thread.sleep(10);
      }
      Thread.sleep(300); // any more of them would come now
      assertThat(server.requests).hasSize(2 * 2);
      late.countDown();
      List<double[]> scored = scores.get(SOON.toMillis(), TimeUnit.MILLISECONDS);
      assertThat(server.requests).hasSize(30);
      for (int i = 0; i < 30; i++) {
        assertThat(scored.get(i)).containsExactly(expected.get(i), within(1e-3));
      }
    } finally {
      late.countDown();
    }
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @Test
  void aSequenceIsPutTogetherWhenItIsSent() {
    int length = 300_000;
    Branch branch =
        new Branch(
            List.of(new View(0, length, 0)), new int[] {1, 2}, new int[] {length, length + 1}, 1);
    try (RemoteScorer remote = remote(atATime(1, options(RemoteOptions.Protocol.SGLANG)));
        Trunk trunk = new LongTrunk(new int[length])) {
      server.failureStatus = 400;
      server.failures = 1;
      // All of them would take 4.8 GB, and their requests as much again.
      assertThatExceptionOfType(EngineException.class)
          .isThrownBy(() -> remote.score(trunk, Collections.nCopies(4000, branch)))
          .withMessageContaining("refuses the prompt");
    }
  }

  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  private record LongTrunk(int[] tokens) implements Trunk {
    @Override
    public int length() {
      return tokens.length;
    }

    @Override
    public int scoredFrom() {
      return tokens.length;
    }

    @Override
    public double[] logProbs() {
      return new double[0];
    }

    @Override
    public long bytes() {
      return 0;
    }

    @Override
    public void close() {}
  }

  private static int common(JsonNode one, JsonNode other) {
    int i = 0;
    while (i < Math.min(one.size(), other.size()) && one.get(i).equals(other.get(i))) {
      i++;
    }
    return i;
  }

  /** Where every record is refused for its estimate, nothing is asked that could correct it. */
  @Test
  void aBoundRefusesNothingByAGuessThatNothingHasMeasured() {
    try (RemoteScorer remote = remote(options(RemoteOptions.Protocol.SGLANG))) {
      AttributionOptions options =
          new AttributionOptions(
              MethodOptions.of("exact-loo"), Granularity.SENTENCE, 0.02, false, "");
      assertThat(remote.estimate(100, 10, List.of()).seconds()).isGreaterThan(0.02);
      assertThat(new Attributor(remote, options).attribute(conversation()).status())
          .isEqualTo(AttributionStatus.SCORED);
      assertThat(remote.mayBeFaster()).isLessThan(1.5);
    }
    assertThat(RemoteScorer.mayBeFaster(Duration.ZERO)).isEqualTo(1);
    assertThat(RemoteScorer.mayBeFaster(Duration.ofMinutes(5))).isEqualTo(2);
    assertThat(RemoteScorer.mayBeFaster(Duration.ofDays(5))).isEqualTo(8);
  }

  @Test
  void aServerWhoseModelNobodyNamedIsNamedByWhatItServes() {
    try (RemoteScorer remote = remote(options(RemoteOptions.Protocol.VLLM))) {
      assertThat(remote.description().model()).isEqualTo(StubServer.MODEL);
    }
  }

  @Test
  void anEstimateIsOfAllThatTheServerReads() {
    try (RemoteScorer remote = remote(options(RemoteOptions.Protocol.VLLM))) {
      Branch branch =
          new Branch(
              List.of(new View(0, 990, 0)), new int[10], IntStream.range(990, 1000).toArray(), 1);
      double trunk = remote.estimate(1000, 10, List.of()).seconds();
      assertThat(remote.estimate(1000, 10, List.of(branch, branch)).seconds())
          .isCloseTo(3 * trunk, within(1e-9));
      assertThat(remote.estimate(1000, 10, List.of(branch, branch)).tokens()).isEqualTo(1020);
    }
  }

  @Test
  void aPromptNeedsRoomForTheTokenThatIsGenerated() {
    try (RemoteScorer remote = remote(options(RemoteOptions.Protocol.VLLM))) {
      assertThat(remote.description().maxPositions())
          .isEqualTo(local.description().maxPositions() - 1);
      int[] tokens = new int[local.description().maxPositions()];
      assertThatExceptionOfType(EngineException.class)
          .isThrownBy(() -> remote.trunk(tokens, 1))
          .withMessageContaining("at most 255")
          .satisfies(e -> assertThat(e.kind()).isEqualTo(Kind.UNSUPPORTED));
    }
  }

  @Test
  void aServerCanNotSplice() {
    try (RemoteScorer remote = remote(options(RemoteOptions.Protocol.SGLANG))) {
      MethodOptions narrow = MethodOptions.of("splice").withHeal(0);
      AttributionResult result =
          new Attributor(remote, new AttributionOptions(narrow, Granularity.SENTENCE, 0, false, ""))
              .attribute(conversation());
      assertThat(result.status()).isEqualTo(AttributionStatus.UNSUPPORTED);
      assertThat(result.reason()).contains("can not splice");
    }
  }

  @Test
  void addressesAreChecked() {
    assertThatThrownBy(
            () -> RemoteOptions.of(URI.create("ftp://host"), RemoteOptions.Protocol.VLLM))
        .hasMessageContaining("http://host");
    assertThatThrownBy(
            () -> RemoteOptions.of(URI.create("http://u:p@host"), RemoteOptions.Protocol.VLLM))
        .hasMessageContaining("credentials")
        .hasMessageNotContaining("u:p");
    assertThatThrownBy(() -> RemoteOptions.Protocol.of("grpc")).hasMessageContaining("grpc");
  }
}
