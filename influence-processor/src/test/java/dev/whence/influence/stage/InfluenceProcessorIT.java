package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;
import static org.assertj.core.api.Assertions.within;

import dev.whence.conversation.Conversation;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.files.Sha256;
import dev.whence.influence.query.DocumentInfluence;
import dev.whence.influence.query.InfluenceResult;
import dev.whence.influence.query.QueryOptions;
import dev.whence.runtime.config.SamplingRate;
import dev.whence.runtime.config.Settings;
import dev.whence.runtime.dlq.DeadLetterEntry;
import dev.whence.runtime.dlq.DeadLetterFilter;
import dev.whence.runtime.dlq.DlqTool;
import dev.whence.runtime.kafka.Clients;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluenceCause;
import dev.whence.schemas.avro.InfluenceRequest;
import dev.whence.schemas.avro.InfluenceStatus;
import dev.whence.schemas.avro.InfluentialDocument;
import dev.whence.schemas.avro.ModelAncestor;
import dev.whence.schemas.avro.ModelKind;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.ModelRole;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;

/** Responses in, influences out, on a broker. */
class InfluenceProcessorIT {
  /** The digest of a model that is nowhere. */
  private static final String STRANGE = "0".repeat(64);

  private static final Duration SOON = Duration.ofSeconds(60);

  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  private Path data;

  private InfluenceCluster cluster;
  private Topics topics;

  @BeforeEach
  void open() throws Exception {
    cluster = InfluenceCluster.shared();
    topics = cluster.topics();
  }

  private List<Influence> await(int count) {
    org.awaitility.Awaitility.await()
        .atMost(SOON)
        .pollInterval(Duration.ofMillis(200))
        .until(() -> cluster.influences(topics).size() >= count);
    List<Influence> all = cluster.influences(topics);
    assertThat(all).hasSize(count);
    return all;
  }

  @Test
  void whatComesOutIsWhatTheSearchOnFilesSaysAndWhatCanNotBeReadGoesToItsDeadLetterQueue()
      throws Exception {
    Conversation response = InfluenceCluster.answered("r-1", 0);
    byte[] garbage = "no avro".getBytes(StandardCharsets.UTF_8);
    byte[] key = "q".getBytes(StandardCharsets.UTF_8);
    cluster.send(
        List.of(
            new ProducerRecord<>(topics.influenceQueries().name(), 0, key, garbage),
            new ProducerRecord<>(topics.influencePartials().name(), key, garbage)));
    try (InfluenceProcessor processor = cluster.start(topics, data, Map.of())) {
      cluster.respond(topics, response);
      Influence influence = await(1).get(0);
      // A result may be out before the worker of requests has its partitions.
      org.awaitility.Awaitility.await().atMost(SOON).until(processor.health()::isReady);
      assertThat(influence.getResponseId()).isEqualTo("r-1");
      assertThat(influence.getReason()).isEmpty();
      assertThat(influence.getStatus()).isEqualTo(InfluenceStatus.SCORED);
      assertThat(influence.getCause()).isEqualTo(InfluenceCause.SAMPLED);
      assertThat(influence.getRequestedBy()).isEmpty();
      sameAsOnFiles(
          influence, cluster.searched(response, QueryOptions.DEFAULT.withTop(40).withRerank(40)));
      Clients clients = new Clients(cluster.connection);
      for (var topic : List.of(topics.influenceQueries(), topics.influencePartials())) {
        assertThat(
                new DlqTool(clients, topics.deadLettersOf(topic).name()).show(DeadLetterFilter.ALL))
            .extracting(DeadLetterEntry::code, DeadLetterEntry::topic)
            .containsExactly(tuple("NOT_AVRO", topic.name()));
      }
    }
  }

  private static void sameAsOnFiles(Influence influence, InfluenceResult expected) {
    List<DocumentInfluence> wanted = new ArrayList<>(expected.positive());
    wanted.addAll(expected.negative());
    assertThat(influence.getMethod()).isEqualTo(expected.method());
    assertThat(influence.getLogLikelihood()).isCloseTo(expected.logLikelihood(), within(1e-4));
    assertThat(influence.getResponseTokens()).isEqualTo(expected.responseTokens());
    assertThat(influence.getDocuments())
        .extracting(InfluentialDocument::getId)
        .containsExactlyElementsOf(wanted.stream().map(one -> one.document().id()).toList());
    double largest = Math.abs(wanted.get(0).influence());
    for (int i = 0; i < wanted.size(); i++) {
      InfluentialDocument document = influence.getDocuments().get(i);
      assertThat(document.getExact()).isTrue();
      assertThat(document.getInfluence())
          .isCloseTo(wanted.get(i).influence(), within(1e-5 * largest));
      assertThat(document.getEstimate())
          .isCloseTo(wanted.get(i).estimate(), within(2e-3 * wanted.get(i).standardError()));
      assertThat(document.getStandardError())
          .isCloseTo(wanted.get(i).standardError(), within(1e-6 * largest));
      assertThat(document.getExcerpt()).isEqualTo(wanted.get(i).document().excerpt());
      assertThat(document.getLine()).isEqualTo(wanted.get(i).document().reference().line());
    }
    assertThat(influence.getCoverage().getShare()).isEqualTo(1);
    assertThat(influence.getCoverage().getShards()).isEqualTo(InfluenceCluster.SHARDS);
    assertThat(influence.getCoverage().getDocuments()).isEqualTo(InfluenceCluster.DOCUMENTS);
    assertThat(influence.getCoverage().getDocumentsScanned()).isEqualTo(InfluenceCluster.DOCUMENTS);
  }

  private Influence about(String responseId, List<Influence> all) {
    return all.stream()
        .filter(one -> one.getResponseId().equals(responseId))
        .findFirst()
        .orElseThrow();
  }

  @Test
  void requestsAndAlertsAreAnsweredWhateverIsSampledAndWhatCanNotBeAskedAboutSaysWhy()
      throws Exception {
    Map<String, String> few = Map.of("sampling.rate", "0.5", "query.top", "3");
    try (InfluenceProcessor processor = cluster.start(topics, data, few)) {
      Conversation ours = InfluenceCluster.answered("any", 1);
      List<String> ids = IntStream.range(0, 12).mapToObj(i -> "s-" + i).toList();
      List<String> drawn = ids.stream().filter(id -> SamplingRate.share(id) < 0.5).toList();
      List<String> others = ids.stream().filter(id -> !drawn.contains(id)).toList();
      assertThat(drawn).isNotEmpty();
      assertThat(others).hasSizeGreaterThan(2);
      String foreign = drawn.get(0);
      cluster.respond(
          topics,
          ids.stream()
              .map(
                  id ->
                      InfluenceCluster.named(
                          id, id.equals(foreign) ? "acme/other" : InfluenceCluster.MODEL, ours))
              .toArray(Conversation[]::new));
      cluster.request(
          topics,
          InfluenceCluster.named(others.get(0), InfluenceCluster.MODEL, ours),
          InfluenceCause.REQUESTED);
      cluster.request(
          topics,
          InfluenceCluster.named(others.get(1), InfluenceCluster.MODEL, ours),
          InfluenceCause.ALERT);
      String garbage = drawn.get(0) + "x";
      String taken = SamplingRate.share(garbage) < 0.5 ? garbage : "drawn-" + seed(0.5);
      cluster.send(
          List.of(
              new ProducerRecord<>(
                  topics.responses().name(),
                  taken.getBytes(StandardCharsets.UTF_8),
                  "no avro".getBytes(StandardCharsets.UTF_8))));
      cluster.send(
          topics.influenceRequests().name(),
          "without",
          InfluenceRequest.newBuilder()
              .setResponseId("without")
              .setCause(InfluenceCause.ALERT)
              .setRequestedBy("a rule")
              .build());
      InfluenceRequest named =
          InfluenceRequests.of(
              InfluenceCluster.named("long-winded", InfluenceCluster.MODEL, ours),
              InfluenceCause.ALERT,
              "r".repeat(256));
      cluster.send(
          topics.influenceRequests().name(),
          "long-winded",
          InfluenceRequest.newBuilder(named).setRequestedBy("r".repeat(257)).build());

      List<Influence> all = await(drawn.size() + 5);
      assertThat(all).extracting(Influence::getResponseId).doesNotHaveDuplicates();
      assertThat(about(others.get(0), all).getCause()).isEqualTo(InfluenceCause.REQUESTED);
      assertThat(about(others.get(1), all).getCause()).isEqualTo(InfluenceCause.ALERT);
      assertThat(about(others.get(1), all).getDocuments()).hasSize(6);
      assertThat(about(others.get(0), all).getRequestedBy()).isEqualTo("test");
      assertThat(about(others.get(1), all).getRequestedBy()).isEqualTo("test");
      Influence unsupported = about(foreign, all);
      assertThat(unsupported.getStatus()).isEqualTo(InfluenceStatus.UNSUPPORTED);
      assertThat(unsupported.getReasonCode()).isEqualTo("MODEL_NOT_OURS");
      assertThat(unsupported.getCoverage()).isNull();
      assertThat(unsupported.getConversationId()).isEqualTo("conversation-1");
      assertThat(about(taken, all).getReasonCode()).isEqualTo("NOT_AVRO");
      assertThat(about(taken, all).getStatus()).isEqualTo(InfluenceStatus.FAILED);
      assertThat(about("without", all).getReasonCode()).isEqualTo("INVALID_REQUEST");
      assertThat(about("without", all).getCause()).isEqualTo(InfluenceCause.ALERT);
      assertThat(about("without", all).getRequestedBy()).isEqualTo("a rule");
      assertThat(about("long-winded", all).getReasonCode()).isEqualTo("INVALID_REQUEST");
      assertThat(about("long-winded", all).getReason())
          .contains("requestedBy has 257 characters, more than 256");
      assertThat(about("long-winded", all).getCause()).isEqualTo(InfluenceCause.ALERT);
      assertThat(cluster.read(topics.deadLettersOf(topics.responses()).name())).hasSize(1);
      assertThat(
              new DlqTool(
                      new Clients(cluster.connection),
                      topics.deadLettersOf(topics.influenceRequests()).name())
                  .show(DeadLetterFilter.ALL))
          .extracting(DeadLetterEntry::code, DeadLetterEntry::stage)
          .containsOnly(tuple("INVALID_REQUEST", "influence-request"))
          .hasSize(2);
      assertThat(processor.meters().get("whence.influence.not.sampled").counter().count())
          .isEqualTo(others.size());
      assertThat(processor.meters().get("whence.merge.tasks").gauge().value()).isEqualTo(8);
    }
  }

  private static int seed(double rate) {
    return IntStream.iterate(0, i -> i + 1)
        .filter(i -> SamplingRate.share("drawn-" + i) < rate)
        .findFirst()
        .orElseThrow();
  }

  @Test
  void aShardThatIsCutShortIsMissingWithItsNameAndComesBackWhenItIsRepaired() throws Exception {
    Path indexes = data.resolve("indexes");
    Path index = copied(cluster.index(), indexes.resolve("base"));
    Path shard = index.resolve("shard-3-of-8.index");
    byte[] whole = Files.readAllBytes(shard);
    Conversation response = InfluenceCluster.answered("r-cut", 2);
    Map<String, String> there = Map.of("indexes", indexes.toString());
    try (InfluenceProcessor processor = cluster.start(topics, data, there)) {
      Files.write(shard, Arrays.copyOf(whole, whole.length - 7));
      cluster.respond(topics, response);
      Influence cut = await(1).get(0);
      assertThat(cut.getStatus()).isEqualTo(InfluenceStatus.SCORED);
      assertThat(cut.getReasonCode()).isEqualTo("SHARDS_MISSING");
      assertThat(cut.getCoverage().getShare()).isEqualTo(7 / 8.0);
      assertThat(cut.getCoverage().getDocumentsScanned()).isEqualTo(35);
      assertThat(cut.getCoverage().getMissing()).hasSize(1);
      assertThat(cut.getCoverage().getMissing().get(0).getShard()).isEqualTo(3);
      assertThat(cut.getCoverage().getMissing().get(0).getReason())
          .contains("shard-3-of-8.index is cut short or altered");
      assertThat(cut.getDocuments()).extracting(InfluentialDocument::getShard).doesNotContain(3);

      Files.write(shard, whole);
      cluster.request(topics, response, InfluenceCause.REQUESTED);
      List<Influence> both = await(2);
      Influence repaired = both.get(0).equals(cut) ? both.get(1) : both.get(0);
      assertThat(repaired.getQueryId()).isEqualTo(cut.getQueryId());
      assertThat(repaired.getCoverage().getShare()).isEqualTo(1);

      // A complete result is not computed again; what another one asks shows that it was read.
      cluster.request(topics, response, InfluenceCause.REQUESTED);
      cluster.request(topics, InfluenceCluster.answered("r-next", 2), InfluenceCause.REQUESTED);
      assertThat(await(3)).extracting(Influence::getResponseId).containsOnlyOnce("r-next");
      org.awaitility.Awaitility.await().atMost(SOON).until(processor.health()::isReady);
    }
  }

  @Test
  @SuppressWarnings("try") // one leaves before the others
  void processesOpenTheShardsOfTheirOwnPartitionsAndTakeOverThoseOfOneThatLeaves()
      throws Exception {
    Map<String, String> indexes = Map.of("indexes", cluster.index().toString());
    Map<String, String> rest = new HashMap<>(indexes);
    rest.putAll(Map.of("roles", "query,merge", "instance.id", "rest"));
    Map<String, String> first = new HashMap<>(indexes);
    first.putAll(Map.of("roles", "shards", "instance.id", "first"));
    Map<String, String> second = new HashMap<>(first);
    second.put("instance.id", "second");
    try (InfluenceProcessor others = cluster.start(topics, data.resolve("a"), rest)) {
      InfluenceProcessor two;
      try (InfluenceProcessor one = cluster.start(topics, data.resolve("b"), first)) {
        awaitShards(() -> openShards(one) == InfluenceCluster.SHARDS);
        two = cluster.start(topics, data.resolve("c"), second);
        awaitShards(() -> openShards(two) == InfluenceCluster.SHARDS / 2);
        cluster.respond(topics, InfluenceCluster.answered("r-both", 0));
        assertThat(await(1).get(0).getCoverage().getShare()).isEqualTo(1);
        // Those of the other's partitions were not opened for the query.
        assertThat(openShards(two)).isEqualTo(InfluenceCluster.SHARDS / 2);
      }
      try (two) {
        awaitShards(() -> openShards(two) == InfluenceCluster.SHARDS);
      }
      assertThat(others.health().isAlive()).isTrue();
    }
  }

  private static void awaitShards(Callable<Boolean> condition) {
    org.awaitility.Awaitility.await().atMost(SOON).until(condition);
  }

  private static int openShards(InfluenceProcessor processor) {
    return (int) processor.meters().get("whence.influence.shards.open").gauge().value();
  }

  private static Path copied(Path from, Path to) throws Exception {
    Files.createDirectories(to);
    try (Stream<Path> files = Files.list(from)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Files.copy(file, to.resolve(file.getFileName()));
      }
    }
    return to;
  }

  @Test
  void withoutAShardProcessTheResultSaysThatNoShardAnsweredAndALateAnswerChangesNothing()
      throws Exception {
    Map<String, String> alone =
        Map.of("roles", "query,merge", "query.deadline", "2s", "instance.id", "alone");
    try (InfluenceProcessor processor = cluster.start(topics, data.resolve("a"), alone)) {
      cluster.respond(topics, InfluenceCluster.answered("r-1", 0));
      Influence influence = await(1).get(0);
      assertThat(influence.getStatus()).isEqualTo(InfluenceStatus.FAILED);
      assertThat(influence.getReasonCode()).isEqualTo("NO_SHARD_ANSWERED");
      assertThat(influence.getCoverage().getShare()).isZero();
      assertThat(influence.getCoverage().getMissing()).hasSize(8);
      assertThat(processor.health().isAlive()).isTrue();
      Map<String, String> late = Map.of("roles", "shards", "instance.id", "late");
      try (InfluenceProcessor shards = cluster.start(topics, data.resolve("b"), late)) {
        org.awaitility.Awaitility.await()
            .atMost(SOON)
            .until(() -> shards.meters().get("whence.influence.expired").counter().count() == 8);
      }
      assertThat(cluster.influences(topics)).hasSize(1);
    }
  }

  /** Queries and partials are of a response that was read: none of them may be passed over. */
  @Test
  void whatIsToStartAtTheLatestOffsetsReadsItsInternalTopicsFromTheirBeginning() throws Exception {
    Map<String, String> asking = Map.of("roles", "query", "instance.id", "asking");
    try (InfluenceProcessor processor = cluster.start(topics, data.resolve("a"), asking)) {
      cluster.respond(topics, InfluenceCluster.answered("r-1", 0));
      org.awaitility.Awaitility.await()
          .atMost(SOON)
          .until(() -> cluster.read(topics.influenceQueries().name()).size() == 8);
      assertThat(processor.health().isAlive()).isTrue();
    }
    Map<String, String> answering =
        Map.of("roles", "shards,merge", "instance.id", "answering", "start", "latest");
    try (InfluenceProcessor processor = cluster.start(topics, data.resolve("b"), answering)) {
      Influence influence = await(1).get(0);
      assertThat(influence.getStatus()).isEqualTo(InfluenceStatus.SCORED);
      assertThat(influence.getCoverage().getShare()).isEqualTo(1);
      assertThat(processor.health().isAlive()).isTrue();
    }
  }

  @Test
  void releasesOfModelsAndIndexesAreTakenOverBetweenBatchesAndWhatDoesNotFitIsRefused()
      throws Exception {
    Path models = data.resolve("models");
    copied(InfluenceCluster.chatModel(), models.resolve("chat"));
    copied(InfluenceCluster.baseModel(), models.resolve("base"));
    Path indexes = data.resolve("indexes");
    copied(cluster.index(), indexes.resolve("first"));
    Map<String, String> settings =
        new HashMap<>(
            cluster.settings(
                topics,
                data,
                Map.of(
                    "models.roots",
                    models.toString(),
                    "indexes",
                    indexes.toString(),
                    "query.top",
                    "5",
                    "query.rerank",
                    "5")));
    settings.remove("model");
    String chat = digest(models.resolve("chat"));
    String base = digest(models.resolve("base"));
    try (InfluenceProcessor processor =
        InfluenceProcessor.start(InfluenceConfig.read(Settings.of(settings)), Map.of())) {
      assertThat(processor.health().isReady()).isFalse();
      release("chat", chat, base);
      cluster.respond(topics, InfluenceCluster.answered("r-1", 0));
      Influence first = await(1).get(0);
      assertThat(first.getMethod()).isEqualTo("multi-stage");
      assertThat(first.getFineTuning().getModelDigest()).isEqualTo(chat);
      assertThat(first.getPretraining().getModelDigest()).isEqualTo(base);
      assertThat(first.getCost().getDocumentsReranked()).isPositive();

      // Of another base: the index is not of it.
      release("stranger", chat, STRANGE);
      awaitLoads(processor, "failed", 1);
      // Not what it says.
      release("liar", "1".repeat(64), base);
      awaitLoads(processor, "failed", 2);
      // Transferred to the indexed base from another one.
      int beforeTransfer = loads(processor, "loaded");
      release("transferred", chat, ModelKind.TRANSFERRED, Map.of("base", STRANGE, "target", base));
      awaitLoads(processor, "loaded", beforeTransfer + 1);
      cluster.respond(topics, InfluenceCluster.answered("r-2", 0));
      assertThat(about("r-2", await(2)).getFineTuning().getModelDigest()).isEqualTo(chat);

      // The base itself, with a newer index that holds fewer shards of it.
      cluster.build(indexes.resolve("second"), 2);
      // The first release is loaded once or twice: by whichever worker needs it, and when it comes.
      int before = loads(processor, "loaded");
      release("base", base, "");
      awaitLoads(processor, "loaded", before + 1);
      cluster.respond(topics, InfluenceCluster.answered("r-3", 0));
      Influence last = about("r-3", await(3));
      assertThat(last.getMethod()).isEqualTo("single-stage");
      assertThat(last.getFineTuning().getModelDigest()).isEqualTo(base);
      assertThat(last.getIndexDigest()).isNotEqualTo(first.getIndexDigest());
      assertThat(last.getCoverage().getShards()).isEqualTo(2);
      assertThat(last.getCoverage().getShare()).isEqualTo(1);
      assertThat(last.getDocuments()).allMatch(InfluentialDocument::getExact);
    }
  }

  /** A directory in a file's place can not be read, as a file on a disk that fails. */
  @Test
  void aReleaseWhoseFilesCanNotBeReadIsTakenOverOnceTheyCanThoughNoOtherReleaseComes()
      throws Exception {
    Path models = data.resolve("models");
    copied(InfluenceCluster.chatModel(), models.resolve("chat"));
    copied(InfluenceCluster.baseModel(), models.resolve("base"));
    Path indexes = data.resolve("indexes");
    copied(cluster.index(), indexes.resolve("first"));
    Path factors = copied(cluster.pretraining(), data.resolve("factors/base"));
    Map<String, String> settings =
        Map.of(
            "roles",
            "query,merge",
            "models.roots",
            models.toString(),
            "indexes",
            indexes.toString(),
            "factors",
            factors.getParent() + "," + cluster.fineTuning().getParent());
    String chat = digest(models.resolve("chat"));
    String base = digest(models.resolve("base"));
    Path manifest = indexes.resolve("first/index.json");
    Path kept = data.resolve("kept.json");
    try (InfluenceProcessor processor = cluster.start(topics, data, settings)) {
      awaitLoads(processor, "loaded", 1);
      Files.move(manifest, kept);
      Files.createDirectory(manifest);
      release("chat", chat, base);
      org.awaitility.Awaitility.await()
          .atMost(SOON)
          .until(() -> loads(processor, "failed") >= 3 && processor.health().isReady());
      assertThat(loads(processor, "loaded")).as("the old model stays").isEqualTo(1);
      Files.delete(manifest);
      Files.move(kept, manifest);
      awaitLoads(processor, "loaded", 2);
      int failed = loads(processor, "failed");
      // What is bad is refused, and not tried again: ReleaseTakeOverTest has the clock for that.
      release("liar", "1".repeat(64), base);
      awaitLoads(processor, "failed", failed + 1);
      assertThat(loads(processor, "loaded")).isEqualTo(2);
    }
  }

  private static String digest(Path model) {
    try (ModelFiles files = ModelFiles.open(model)) {
      return files.digest();
    }
  }

  private static void awaitLoads(InfluenceProcessor processor, String result, int count) {
    org.awaitility.Awaitility.await().atMost(SOON).until(() -> loads(processor, result) == count);
  }

  private static int loads(InfluenceProcessor processor, String result) {
    return (int)
        processor.meters().get("whence.model.loads").tag("result", result).counter().count();
  }

  private void release(String location, String digest, String base) {
    release(location, digest, ModelKind.UNKNOWN, base.isEmpty() ? Map.of() : Map.of("base", base));
  }

  /**
   * @param ancestors digests by relation
   */
  private void release(
      String location, String digest, ModelKind kind, Map<String, String> ancestors) {
    cluster.send(
        topics.models().name(),
        location,
        ModelRelease.newBuilder()
            .setModelId(location)
            .setRoles(List.of(ModelRole.INFLUENCE))
            .setKind(kind)
            .setLocation(location.equals("base") ? "base" : "chat")
            .setDigest(digest)
            .setAliases(List.of(InfluenceCluster.MODEL))
            .setLineage(
                ancestors.entrySet().stream()
                    .map(one -> new ModelAncestor(one.getKey(), one.getValue(), one.getKey()))
                    .toList())
            .build());
  }

  @Test
  void queriesOfABatchShareOneScanAndTheirSketchesMayLieInTheClaimCheckDirectory()
      throws Exception {
    Path kept = data.resolve("kept");
    Map<String, String> claims =
        Map.of("claim-check.above", "1KiB", "claim-check.dir", kept.toString());

    List<Conversation> responses =
        IntStream.range(0, 5).mapToObj(i -> InfluenceCluster.answered("r-" + i, i)).toList();
    Map<String, String> asking = new HashMap<>(claims);
    asking.putAll(Map.of("roles", "query,merge", "instance.id", "asking"));
    try (InfluenceProcessor processor = cluster.start(topics, data.resolve("a"), asking)) {
      cluster.respond(topics, responses.toArray(Conversation[]::new));
      org.awaitility.Awaitility.await()
          .atMost(SOON)
          .until(() -> cluster.read(topics.influenceQueries().name()).size() == 5 * 8);
      // The merger may still be starting when the queries are made.
      org.awaitility.Awaitility.await().atMost(SOON).until(() -> processor.health().isReady());
      try (Stream<Path> files = Files.list(kept)) {
        List<Path> sketches = files.toList();
        assertThat(sketches).hasSize(5);
        for (Path sketch : sketches) {
          byte[] bytes = Files.readAllBytes(sketch);
          assertThat(bytes).hasSize(1024 * Short.BYTES);
          assertThat(sketch.getFileName()).hasToString(Sha256.of(bytes) + ".sketch");
        }
      }
      Map<String, String> scanning = new HashMap<>(claims);
      scanning.putAll(Map.of("roles", "shards", "instance.id", "scanning"));
      try (InfluenceProcessor shards = cluster.start(topics, data.resolve("b"), scanning)) {
        List<Influence> all = await(5);
        assertThat(all).allMatch(one -> one.getCoverage().getShare() == 1);
        var perScan = shards.meters().get("whence.influence.scan.queries").summary();
        assertThat(perScan.totalAmount() / perScan.count()).as("queries per scan").isGreaterThan(1);
        sameAsOnFiles(
            about("r-3", all),
            cluster.searched(responses.get(3), QueryOptions.DEFAULT.withTop(40).withRerank(40)));
      }
    }
  }
}
