package dev.whence.attribution.stage;

import static dev.whence.attribution.stage.AttributionCluster.conversation;
import static dev.whence.attribution.stage.AttributionCluster.words;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.awaitility.Awaitility.await;

import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.Attributor;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Span;
import dev.whence.conversation.Trust;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.runtime.worker.Halt;
import dev.whence.samples.BundledModels;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.Attribution;
import dev.whence.schemas.avro.AttributionPhase;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.ModelRole;
import dev.whence.schemas.avro.ScoringStatus;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AttributionProcessorIT {
  private AttributionCluster cluster;
  private Topics topics;

  @BeforeEach
  void open() throws Exception {
    cluster = AttributionCluster.shared();
    topics = cluster.topics();
  }

  @Test
  void everyResponseGetsExactlyOneFinalAttribution() throws Exception {
    Map<String, byte[]> good = new LinkedHashMap<>();
    for (int i = 0; i < 12; i++) {
      good.put("r-" + i, cluster.avro(topics, conversation("r-" + i)));
    }
    good.put(
        "no-context",
        cluster.avro(
            topics,
            conversation(
                "no-context", words(50, 6), Part.of(PartKind.QUESTION, "q", words(1, 9) + " "))));
    good.put(
        "over-window",
        cluster.avro(
            topics,
            conversation(
                "over-window",
                words(50, 6),
                Part.of(PartKind.RETRIEVED, "doc", words(0, 400) + " "))));
    good.put(
        "picture",
        cluster.avro(
            topics,
            conversation(
                "picture",
                words(50, 6),
                Part.of(PartKind.MEDIA, "image", ""),
                Part.of(PartKind.QUESTION, "q", words(1, 9)))));
    byte[] whole = good.get("r-0");
    Map<String, byte[]> bad = new LinkedHashMap<>();
    bad.put("not-avro", "not avro at all".getBytes(StandardCharsets.UTF_8));
    bad.put("truncated", Arrays.copyOf(whole, whole.length / 2));
    bad.put("unknown-schema", withSchema(whole, 999_999));
    bad.put("bomb", bomb(whole));
    bad.put("too-large", new byte[50 << 20]);
    List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
    good.forEach((id, value) -> records.add(record(id, value)));
    bad.forEach((id, value) -> records.add(record(id, value)));
    records.add(
        new ProducerRecord<>(
            topics.responses().name(), 0, "gone".getBytes(StandardCharsets.UTF_8), null));
    cluster.send(records);

    try (AttributionProcessor processor =
        AttributionProcessor.start(
            cluster.config(topics, Map.of("results.include-text", "true")), Map.of())) {
      awaitAttributions(records.size());
      await().atMost(Duration.ofSeconds(30)).until(processor.health()::isReady);
      assertThat(get(processor, "/health/ready")).isEqualTo("ready\n");
      assertThat(get(processor, "/metrics"))
          .contains("whence_responses_total{status=\"scored\"} 13.0")
          .contains("whence_tokens_total")
          .contains("whence_end_to_end_seconds_bucket")
          .contains("whence_model_time_seconds_bucket")
          .contains("whence_queue_lag")
          .contains("whence_native_memory_bytes")
          .contains("whence_process_resident_bytes");
    }

    Map<String, Attribution> byId =
        cluster.attributions(topics).stream()
            .collect(Collectors.toMap(Attribution::getResponseId, Function.identity()));
    assertThat(byId.keySet())
        .containsExactlyInAnyOrderElementsOf(
            records.stream()
                .map(record -> new String(record.key(), StandardCharsets.UTF_8))
                .toList());
    assertThat(byId.values())
        .allSatisfy(
            attribution -> {
              assertThat(attribution.getPhase()).isEqualTo(AttributionPhase.FINAL);
              assertThat(attribution.getRevision()).isZero();
            });
    for (int i = 0; i < 12; i++) {
      assertThat(byId.get("r-" + i).getStatus()).isEqualTo(ScoringStatus.SCORED);
    }
    assertThat(byId.get("no-context").getStatus()).isEqualTo(ScoringStatus.SCORED);
    assertThat(byId.get("no-context").getGroundedness()).isZero();
    assertThat(byId.get("over-window").getStatus()).isEqualTo(ScoringStatus.UNSUPPORTED);
    assertThat(byId.get("picture").getStatus()).isEqualTo(ScoringStatus.UNSUPPORTED);
    assertThat(failure(byId, "not-avro")).isEqualTo("FAILED NOT_AVRO");
    assertThat(failure(byId, "truncated")).isEqualTo("FAILED UNDECODABLE");
    assertThat(failure(byId, "unknown-schema")).isEqualTo("FAILED UNKNOWN_SCHEMA");
    assertThat(failure(byId, "bomb")).isEqualTo("FAILED UNDECODABLE");
    assertThat(failure(byId, "too-large")).isEqualTo("FAILED RECORD_TOO_LARGE");
    assertThat(failure(byId, "gone")).isEqualTo("FAILED NO_VALUE");
    assertThat(cluster.read(topics.deadLettersOf(topics.responses()).name())).hasSize(6);
    sameAsWithoutKafka(byId.get("r-3"));
  }

  /** The stage must publish what the method computes, and nothing else. */
  private void sameAsWithoutKafka(Attribution published) {
    try (LocalScorer scorer =
        LocalScorer.open(
            ModelFiles.open(AttributionCluster.MODELS.resolve("smollm2")),
            EngineOptions.defaults().withDtype(EngineOptions.Dtype.FP32).withDevice("cpu"))) {
      AttributionResult expected =
          new Attributor(scorer, AttributionOptions.DEFAULT).attribute(conversation("r-3"));
      assertThat(published.getScorer().getDigest()).isEqualTo(scorer.description().digest());
      assertThat(published.getScorer().getSurrogate()).isTrue();
      assertThat(published.getLogLikelihood())
          .isCloseTo(expected.logLikelihood().getAsDouble(), within(1e-3));
      assertThat(published.getSources()).hasSize(3);
      for (int i = 0; i < 3; i++) {
        assertThat(published.getSources().get(i).getTau())
            .isCloseTo(expected.sources().get(i).tau(), within(1e-3));
        assertThat(published.getSources().get(i).getText())
            .isEqualTo(expected.sources().get(i).text());
      }
      assertThat(published.getModel()).isEqualTo("acme/chat-1");
      assertThat(published.getConversationId()).isEqualTo("conversation-1");
      assertThat(published.getSubjectId()).isEqualTo("subject-1");
      assertThat(published.getOccurredAt().toEpochMilli()).isEqualTo(1_700_000_000_000L);
    }
  }

  @Test
  void aNewReleaseScoresFromTheNextBatchOnAndABadOneDoesNot() throws Exception {
    Path first = AttributionCluster.MODELS.resolve("smollm2");
    Path second = AttributionCluster.MODELS.resolve("llama2");
    String firstDigest = digest(first);
    String secondDigest = digest(second);
    try (AttributionProcessor processor =
        AttributionProcessor.start(
            cluster.config(topics, Map.of("models.roots", AttributionCluster.MODELS.toString())),
            Map.of())) {
      send(conversation("before"));
      awaitAttributions(1);
      release("good", second.toAbsolutePath().toString(), secondDigest);
      awaitLoads(processor, "loaded", 2);
      send(conversation("after"));
      awaitAttributions(2);
      release("forged", first.toAbsolutePath().toString(), secondDigest);
      awaitLoads(processor, "failed", 1);
      release("outside", Path.of("pom.xml").toAbsolutePath().toString(), secondDigest);
      awaitLoads(processor, "failed", 2);
      send(conversation("still"));
      awaitAttributions(3);
      // One after the other, each taken over before the next: what is live meanwhile is skipped
      // or not, as the reader happens to poll.
      withdraw("outside");
      awaitLoads(processor, "failed", 3);
      withdraw("forged"); // the good one is live again, and in use: nothing is loaded
      withdraw("good");
      awaitLoads(processor, "loaded", 3);
      send(conversation("withdrawn"));
      awaitAttributions(4);
    }
    Map<String, String> digests =
        cluster.attributions(topics).stream()
            .collect(
                Collectors.toMap(
                    Attribution::getResponseId,
                    attribution -> attribution.getScorer().getDigest()));
    assertThat(digests)
        .containsEntry("before", firstDigest)
        .containsEntry("after", secondDigest)
        .containsEntry("still", secondDigest)
        .containsEntry("withdrawn", firstDigest);
  }

  /** The record has not changed, but what it names is there by then. */
  @Test
  void aReleaseIsTakenOverWhenItIsPublishedOnceMore(@TempDir Path root) throws Exception {
    Path whole = AttributionCluster.MODELS.resolve("llama2");
    Path late = root.toRealPath().resolve("late");
    try (AttributionProcessor processor =
        AttributionProcessor.start(
            cluster.config(topics, Map.of("models.roots", root.toString())), Map.of())) {
      awaitLoads(processor, "loaded", 1);
      release("late", late.toString(), digest(whole));
      awaitLoads(processor, "failed", 1);
      Files.createDirectory(late);
      try (Stream<Path> files = Files.list(whole)) {
        for (Path file : files.toList()) {
          Files.copy(file, late.resolve(file.getFileName()));
        }
      }
      release("late", late.toString(), digest(whole));
      awaitLoads(processor, "loaded", 2);
    }
  }

  @Test
  void aReleaseWhoseStoreDoesNotAnswerIsTakenOverLaterThoughNoRecordComes() throws Exception {
    Path second = AttributionCluster.MODELS.resolve("llama2");
    AttributionConfig config =
        cluster.config(topics, Map.of("models.roots", AttributionCluster.MODELS.toString()));
    ModelLoader real = ModelLoader.local(config.engine());
    AtomicInteger unanswered = new AtomicInteger(2);
    ModelLoader loader =
        (choice, beforeWeights) -> {
          if (choice.digest().isPresent() && unanswered.getAndDecrement() > 0) {
            throw new EnvironmentException("the store answers with status 503");
          }
          return real.load(choice, beforeWeights);
        };
    try (AttributionProcessor processor =
        AttributionProcessor.start(config, Map.of(), loader, Halt.process())) {
      awaitLoads(processor, "loaded", 1);
      release("good", second.toAbsolutePath().toString(), digest(second));
      awaitLoads(processor, "loaded", 2);
      awaitLoads(processor, "failed", 2);
    }
  }

  @Test
  void atTheStartAReleaseThatCanNotBeLoadedIsPassedOver() throws Exception {
    Path second = AttributionCluster.MODELS.resolve("llama2");
    String digest = digest(second);
    release("good", second.toAbsolutePath().toString(), digest);
    release("forged", second.toAbsolutePath().toString(), "0".repeat(64));
    release("outside", Path.of("pom.xml").toAbsolutePath().toString(), digest);
    send(conversation("r"));
    try (AttributionProcessor processor =
        AttributionProcessor.start(
            cluster.config(topics, Map.of("models.roots", AttributionCluster.MODELS.toString())),
            Map.of())) {
      awaitAttributions(1);
      awaitLoads(processor, "failed", 2);
    }
    assertThat(cluster.attributions(topics))
        .singleElement()
        .satisfies(a -> assertThat(a.getScorer().getDigest()).isEqualTo(digest));
  }

  @Test
  void aPromptPastTheWindowIsShortenedWhereTheConfigurationSaysSo() throws Exception {
    StringBuilder text = new StringBuilder();
    List<Span> spans = new ArrayList<>();
    for (int i = 0; i < 8; i++) {
      int start = text.length();
      text.append(words(10 * i, 50)).append(' ');
      spans.add(new Span(start, text.length()));
    }
    Part document =
        new Part(PartKind.RETRIEVED, "doc", "", "", Trust.RETRIEVED, text.toString(), true, spans);
    cluster.send(
        List.of(
            record(
                "long",
                cluster.avro(
                    topics,
                    conversation(
                        "long",
                        words(50, 6),
                        document,
                        Part.of(PartKind.QUESTION, "q", words(1, 9)))))));
    try (AttributionProcessor processor =
        AttributionProcessor.start(
            cluster.config(topics, Map.of("attribution.over-window", "drop-sources")), Map.of())) {
      awaitAttributions(1);
      await().atMost(Duration.ofSeconds(30)).until(processor.health()::isReady);
    }
    Attribution result = cluster.attributions(topics).get(0);
    assertThat(result.getStatus()).isEqualTo(ScoringStatus.SCORED);
    assertThat(result.getReasonCode()).isEqualTo("WINDOWED");
    assertThat(result.getPromptTokens() + result.getResponseTokens()).isLessThanOrEqualTo(256);
    assertThat(result.getSources().size() + result.getLeftOut().size()).isEqualTo(8);
    assertThat(result.getSources()).isNotEmpty().allMatch(s -> s.getContext().equals("pruned"));
    assertThat(result.getLeftOut())
        .allSatisfy(
            source -> {
              assertThat(source.getSegment()).isEqualTo("doc");
              assertThat(spans).contains(new Span(source.getStart(), source.getEnd()));
            });
  }

  @Test
  void samplingAndFiltersLeaveOutAndSayWhy() throws Exception {
    try (AttributionProcessor processor =
        AttributionProcessor.start(
            cluster.config(
                topics, Map.of("sampling.rate", "0.5", "filter.attributes.app", "support")),
            Map.of())) {
      List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
      for (int i = 0; i < 20; i++) {
        records.add(record("s-" + i, cluster.avro(topics, conversation("s-" + i))));
      }
      cluster.send(records);
      awaitAttributions(20);
      assertThat(processor.health().isAlive()).isTrue();
    }
    for (Attribution attribution : cluster.attributions(topics)) {
      boolean sampled = Sampling.share(attribution.getResponseId()) < 0.5;
      assertThat(attribution.getStatus())
          .isEqualTo(sampled ? ScoringStatus.SCORED : ScoringStatus.SAMPLED_OUT);
      assertThat(attribution.getReasonCode()).isEqualTo(sampled ? "" : "SAMPLED");
    }
  }

  /** A batch that closes behind its first response has prepared the next one in vain. */
  @Test
  void aResponseWhoseBatchClosedBeforeItsTurnIsCountedOnce() throws Exception {
    int count = 20;
    List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      records.add(record("c-" + i, cluster.avro(topics, conversation("c-" + i))));
    }
    cluster.send(records);
    try (AttributionProcessor processor =
        AttributionProcessor.start(
            cluster.config(topics, Map.of("sampling.rate", "0.5", "batch.max-model-time", "1ms")),
            Map.of())) {
      awaitAttributions(count);
      Map<ScoringStatus, Long> written =
          cluster.attributions(topics).stream()
              .collect(Collectors.groupingBy(Attribution::getStatus, Collectors.counting()));
      assertThat(counted(processor, "sampled_out"))
          .isEqualTo((double) written.get(ScoringStatus.SAMPLED_OUT));
      assertThat(counted(processor, "scored"))
          .isEqualTo((double) written.get(ScoringStatus.SCORED));
    }
  }

  private static double counted(AttributionProcessor processor, String status) {
    return processor.meters().get("whence.responses").tag("status", status).counter().count();
  }

  @Test
  void anEmptyResponseIsFinalWhetherItsEndIsKnownOrNot() throws Exception {
    for (String finishReason : List.of("stop", "length")) {
      Conversation of =
          conversation(
              "empty-" + finishReason,
              "",
              Part.of(PartKind.QUESTION, "q", "Where is it? "),
              Part.of(PartKind.RETRIEVED, "d", "It is here."));
      send(of.toBuilder().finishReason(finishReason).build());
    }
    Path chat = BundledModels.unpack(BundledModels.CHAT);
    try (AttributionProcessor processor =
        AttributionProcessor.start(
            cluster.config(topics, Map.of("model", chat.toString())), Map.of())) {
      awaitAttributions(2);
      await().atMost(Duration.ofSeconds(30)).until(processor.health()::isReady);
    }
    Map<String, Attribution> byId =
        cluster.attributions(topics).stream()
            .collect(Collectors.toMap(Attribution::getResponseId, Function.identity()));
    assertThat(failure(byId, "empty-stop")).isEqualTo("SCORED EMPTY_RESPONSE");
    assertThat(byId.get("empty-stop").getResponseTokens()).isEqualTo(1);
    assertThat(byId.get("empty-stop").getEndTokenScored()).isTrue();
    assertThat(failure(byId, "empty-length")).isEqualTo("UNSUPPORTED EMPTY_RESPONSE");
    assertThat(byId.values())
        .allSatisfy(a -> assertThat(a.getPhase()).isEqualTo(AttributionPhase.FINAL));
    assertThat(cluster.read(topics.deadLettersOf(topics.responses()).name())).isEmpty();
  }

  private static String failure(Map<String, Attribution> byId, String id) {
    return byId.get(id).getStatus() + " " + byId.get(id).getReasonCode();
  }

  private void send(Conversation conversation) {
    cluster.send(List.of(record(conversation.responseId(), cluster.avro(topics, conversation))));
  }

  private ProducerRecord<byte[], byte[]> record(String id, byte[] value) {
    return AttributionCluster.record(topics.responses().name(), id, value);
  }

  private void release(String modelId, String location, String digest) {
    ModelRelease release =
        ModelRelease.newBuilder()
            .setModelId(modelId)
            .setRoles(List.of(ModelRole.FAST))
            .setLocation(location)
            .setDigest(digest)
            .build();
    String topic = topics.models().name();
    cluster.send(List.of(AttributionCluster.record(topic, modelId, cluster.avro(topic, release))));
  }

  private void withdraw(String modelId) {
    cluster.send(
        List.of(
            new ProducerRecord<>(
                topics.models().name(), modelId.getBytes(StandardCharsets.UTF_8), null)));
  }

  private void awaitAttributions(int count) {
    await()
        .atMost(Duration.ofSeconds(60))
        .until(() -> cluster.read(topics.attributions().name()).size() >= count);
  }

  private static void awaitLoads(AttributionProcessor processor, String result, int count) {
    await()
        .atMost(Duration.ofSeconds(30))
        .untilAsserted(
            () ->
                assertThat(
                        processor
                            .meters()
                            .get("whence.model.loads")
                            .tag("result", result)
                            .counter()
                            .count())
                    .isGreaterThanOrEqualTo(count));
  }

  private static String digest(Path model) {
    try (ModelFiles files = ModelFiles.open(model)) {
      return files.digest();
    }
  }

  private static byte[] withSchema(byte[] value, int id) {
    byte[] copy = value.clone();
    ByteBuffer.wrap(copy).putInt(1, id);
    return copy;
  }

  /** The schema's id, then an id of one character, then a string that claims two gigabytes. */
  private static byte[] bomb(byte[] whole) {
    byte[] bomb = Arrays.copyOf(whole, 12);
    byte[] length = {(byte) 0xFE, (byte) 0xFF, (byte) 0xFF, (byte) 0xFF, 0x0F};
    bomb[5] = 2;
    bomb[6] = 'x';
    System.arraycopy(length, 0, bomb, 7, length.length);
    return bomb;
  }

  private static String get(AttributionProcessor processor, String path) throws Exception {
    return HttpClient.newHttpClient()
        .send(
            HttpRequest.newBuilder(
                    URI.create("http://127.0.0.1:" + processor.httpPort().orElseThrow() + path))
                .build(),
            HttpResponse.BodyHandlers.ofString())
        .body();
  }
}
