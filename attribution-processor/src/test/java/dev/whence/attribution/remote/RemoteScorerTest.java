package dev.whence.attribution.remote;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.DoubleNode;
import com.fasterxml.jackson.databind.node.IntNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionStatus;
import dev.whence.attribution.Attributor;
import dev.whence.attribution.Granularity;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.conversation.Conversation;
import dev.whence.engine.Branch;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.Scorer;
import dev.whence.engine.Trunk;
import dev.whence.engine.View;
import dev.whence.engine.WorkEstimate;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.engine.weights.ModelText;
import dev.whence.samples.BundledModels;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A served model gives what the same model gives in this process; and every way to go wrong. */
class RemoteScorerTest {
  private static final Duration SOON = Duration.ofSeconds(20);

  private static final String BEGINS = "<|endoftext|>";
  private static final String PLAIN =
      "{% for message in messages %}{{ message['content'] }}\n{% endfor %}";

  private static Path files;
  private static LocalScorer local;
  private StubServer server;

  @BeforeAll
  static void open() throws IOException {
    files = BundledModels.unpack("tiny-chat");
    local =
        LocalScorer.open(
            ModelFiles.open(files),
            EngineOptions.defaults().withDtype(Dtype.FP32).withDevice("cpu"));
  }

  @BeforeEach
  void serve() throws IOException {
    server = new StubServer(local);
  }

  @AfterEach
  void stop() {
    server.close();
  }

  @AfterAll
  static void close() {
    local.close();
  }

  private RemoteOptions options(RemoteOptions.Protocol protocol) {
    return RemoteOptions.of(server.url(), protocol).withPatience(SOON, 3);
  }

  private RemoteScorer remote(RemoteOptions options) {
    return RemoteScorer.open(ModelText.open(files, Optional.empty()), options);
  }

  private static Conversation conversation() {
    return dev.whence.attribution.toy.Conversations.of(
        "Belfa lives in Kesta.",
        "stop",
        dev.whence.attribution.toy.Conversations.document(
            "d",
            "Belfa lives in Kesta. Monsel has a house in Zija. Few visitors came in winter.\n\n"),
        dev.whence.attribution.toy.Conversations.question("Question: Where does Belfa live?"));
  }

  private static AttributionResult attribute(Scorer scorer, String method) {
    return new Attributor(
            scorer,
            new AttributionOptions(MethodOptions.of(method), Granularity.SENTENCE, 0, false, ""))
        .attribute(conversation());
  }

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

  private static RemoteOptions atATime(int requests, RemoteOptions options) {
    return new RemoteOptions(
        options.url(),
        options.protocol(),
        options.model(),
        options.apiKey(),
        "fp32",
        options.timeout(),
        options.attempts(),
        requests,
        options.aliases(),
        options.patience());
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

  private static void fails(Kind kind, Scorer scorer, String message) {
    assertThatExceptionOfType(EngineException.class)
        .isThrownBy(() -> attribute(scorer, "exact-loo"))
        .withMessageContaining(message)
        .satisfies(
            e -> {
              assertThat(e.kind()).isEqualTo(kind);
              assertThat(e.getMessage()).doesNotContain("SECRET", "Belfa", "Kesta");
            });
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
        List.of(RemoteScorerTest::longer, RemoteScorerTest::emptyLists);
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
    refused(RemoteOptions.Protocol.VLLM, RemoteScorerTest::longer, "larger than");
    refused(RemoteOptions.Protocol.VLLM, RemoteScorerTest::emptyLists, "larger than");
    server.others = 2000;
    remote(options(RemoteOptions.Protocol.VLLM)).close();
    server.others = 50_000; // 1.3 MB
    refused(RemoteOptions.Protocol.VLLM, answer -> answer, "larger than");
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

  private void refused(
      RemoteOptions.Protocol protocol, UnaryOperator<ObjectNode> change, String message) {
    server.change = change;
    assertThatExceptionOfType(EngineException.class)
        .isThrownBy(() -> remote(options(protocol)))
        .withMessageContaining(message)
        .satisfies(e -> assertThat(e.kind()).isEqualTo(Kind.MODEL));
    server.change = UnaryOperator.identity();
  }

  @Test
  void answersAboutOtherTokensAreRefusedAndLaterAreThatInputsFault() {
    UnaryOperator<ObjectNode> fewer =
        answer -> {
          ((ObjectNode) answer.path("meta_info")).put("prompt_tokens", 1);
          return answer;
        };
    refused(RemoteOptions.Protocol.SGLANG, fewer, "reads 1 tokens where");
    UnaryOperator<ObjectNode> otherId = RemoteScorerTest::withAnotherToken;
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
      server.change = RemoteScorerTest::withAnotherToken;
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

  /** Asks what is served before each call. */
  private RemoteScorer always(RemoteOptions options) {
    return RemoteScorer.open(ModelText.open(files, Optional.empty()), options, Duration.ZERO);
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
