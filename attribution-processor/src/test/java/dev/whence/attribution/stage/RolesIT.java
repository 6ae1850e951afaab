package dev.whence.attribution.stage;

import static dev.whence.attribution.stage.AttributionCluster.words;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.awaitility.Awaitility.await;

import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.Attributor;
import dev.whence.attribution.toy.ForwardingScorer;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Span;
import dev.whence.conversation.Trust;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.Scorer;
import dev.whence.engine.ScorerDescription;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.runtime.config.ConfigException;
import dev.whence.runtime.dlq.Replays;
import dev.whence.runtime.worker.Halt;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.Attribution;
import dev.whence.schemas.avro.AttributionCost;
import dev.whence.schemas.avro.AttributionPhase;
import dev.whence.schemas.avro.Escalation;
import dev.whence.schemas.avro.ScoringStatus;
import dev.whence.schemas.avro.SourceScore;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * FAST in front, TARGET behind: two decoders of random weights with one vocabulary. Their deaths
 * are in {@link RolesKillIT}.
 */
class RolesIT {
  private static final Path TARGET_MODEL = AttributionCluster.MODELS.resolve("llama2");
  private static final Duration SELDOM = Duration.ofMillis(500);

  private AttributionCluster cluster;
  private Topics topics;

  @BeforeEach
  void open() throws Exception {
    cluster = AttributionCluster.shared();
    topics = cluster.topics();
  }

  private Map<String, String> fastSettings(Map<String, String> more) {
    Map<String, String> settings = new HashMap<>();
    settings.put("escalation.enabled", "true");
    settings.put("escalation.least-pairs", "20");
    settings.put("escalation.shadow-share", "0.1");
    settings.putAll(more);
    return settings;
  }

  private Map<String, String> targetSettings(Map<String, String> more) {
    Map<String, String> settings = new HashMap<>();
    settings.put("role", "target");
    settings.put("group", AttributionCluster.prefix(topics) + "target");
    settings.put("instance.id", "target-0");
    settings.put("model", TARGET_MODEL.toString());
    settings.putAll(more);
    return settings;
  }

  private AttributionProcessor fast(Map<String, String> more) {
    return AttributionProcessor.start(cluster.config(topics, fastSettings(more)), Map.of());
  }

  private AttributionProcessor target(Map<String, String> more) {
    return AttributionProcessor.start(cluster.config(topics, targetSettings(more)), Map.of());
  }

  /** Six sources and an answer that repeats some of one: other words in each. */
  private static Conversation question(int number) {
    Random random = new Random(number);
    StringBuilder document = new StringBuilder();
    List<Span> spans = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      int start = document.length();
      document.append(words(random.nextInt(160), 5)).append(' ');
      spans.add(new Span(start, document.length()));
    }
    Span said = spans.get(random.nextInt(6));
    return AttributionCluster.conversation(
        "q-" + number,
        document.substring(said.start(), said.end() - 1),
        new Part(
            PartKind.RETRIEVED, "doc", "", "", Trust.RETRIEVED, document.toString(), true, spans),
        Part.of(PartKind.QUESTION, "question", words(40, 4) + " "));
  }

  private void send(Conversation... conversations) {
    List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
    for (Conversation one : conversations) {
      records.add(
          AttributionCluster.record(
              topics.responses().name(), one.responseId(), cluster.avro(topics, one)));
    }
    cluster.send(records);
  }

  private void send(int from, int to) {
    send(IntStream.range(from, to).mapToObj(RolesIT::question).toArray(Conversation[]::new));
  }

  private List<Attribution> finals() {
    return cluster.attributions(topics).stream()
        .filter(attribution -> attribution.getPhase() == AttributionPhase.FINAL)
        .toList();
  }

  private List<Attribution> awaitFinals(int count) {
    await()
        .atMost(Duration.ofSeconds(90))
        .pollInterval(SELDOM) // each look reads the whole topic
        .until(() -> finals().size() >= count);
    List<Attribution> finals = finals();
    assertThat(finals).extracting(Attribution::getResponseId).doesNotHaveDuplicates();
    assertThat(finals).hasSize(count);
    return finals;
  }

  private Attribution provisional(String id) {
    return cluster.attributions(topics).stream()
        .filter(
            one -> one.getPhase() == AttributionPhase.PROVISIONAL && one.getResponseId().equals(id))
        .findFirst()
        .orElseThrow();
  }

  @Test
  void afterEnoughPairsTheFastPathKeepsWhatItIsSureOf() throws Exception {
    try (AttributionProcessor fast = fast(Map.of("escalation.agreement", "0"));
        AttributionProcessor target = target(Map.of())) {
      send(0, 25);
      List<Attribution> first = awaitFinals(25);
      assertThat(first).allMatch(one -> one.getRevision() == 1);
      assertThat(first)
          .allMatch(one -> one.getScorer().getModel().equals(TARGET_MODEL.getFileName().toString()))
          .allMatch(one -> one.getAgreed() != null)
          .allMatch(one -> one.getSources().stream().allMatch(SourceScore::getExact));
      for (Attribution one : first) {
        Attribution before = provisional(one.getResponseId());
        assertThat(before.getRevision()).isZero();
        assertThat(before.getScorer().getModel()).isEqualTo("smollm2");
      }
      sameAsWithoutKafka(first.get(0));
      assertThat(cluster.read(topics.agreements().name())).hasSize(25);
      await()
          .atMost(Duration.ofSeconds(20))
          .until(() -> fast.meters().get("whence.fast.pairs").gauge().value() == 25);
      send(25, 65);
      List<Attribution> all = awaitFinals(65);
      // Of what came later only the shadow share was handed on, for no agreement is wanted.
      List<Attribution> later =
          all.stream().filter(one -> number(one.getResponseId()) >= 25).toList();
      long shadows =
          later.stream()
              .filter(one -> Sampling.share("shadow:" + one.getResponseId()) < 0.1)
              .count();
      assertThat(later.stream().filter(one -> one.getRevision() == 1).count()).isEqualTo(shadows);
      assertThat(later)
          .allSatisfy(one -> assertThat(one.getConfidence()).isStrictlyBetween(0.0, 1.0));
      double agreement =
          fast.meters().get("whence.fast.agreement").tag("bound", "estimate").gauge().value();
      long agreed = first.stream().filter(Attribution::getAgreed).count();
      assertThat(agreement).isCloseTo(agreed / 25.0, within(0.15));
      assertThat(target.health().isAlive()).isTrue();
    }
  }

  private static int number(String id) {
    return Integer.parseInt(id.substring(2));
  }

  /** The stage must publish what the method computes, and nothing else. */
  private static void sameAsWithoutKafka(Attribution published) {
    try (LocalScorer scorer =
        LocalScorer.open(
            ModelFiles.open(TARGET_MODEL),
            EngineOptions.defaults().withDtype(EngineOptions.Dtype.FP32).withDevice("cpu"))) {
      AttributionResult expected =
          new Attributor(scorer, AttributionOptions.DEFAULT)
              .attribute(question(number(published.getResponseId())));
      for (int i = 0; i < expected.sources().size(); i++) {
        assertThat(published.getSources().get(i).getTau())
            .isCloseTo(expected.sources().get(i).tau(), within(1e-3));
      }
    }
  }

  @Test
  void whatTheFastPathIsNotSureOfIsScoredAgainAsFarAsItsCandidatesGo() throws Exception {
    Map<String, String> strict = Map.of("escalation.agreement", "1", "escalation.candidates", "2");
    try (AttributionProcessor fast = fast(strict);
        AttributionProcessor target = target(Map.of())) {
      send(0, 25);
      awaitFinals(25);
      await()
          .atMost(Duration.ofSeconds(20))
          .until(() -> fast.meters().get("whence.fast.pairs").gauge().value() == 25);
      send(100, 130);
      List<Attribution> pruned =
          awaitFinals(55).stream().filter(one -> one.getMethod().equals("proxy-pruning")).toList();
      assertThat(pruned).isNotEmpty();
      for (Attribution one : pruned) {
        Attribution before = provisional(one.getResponseId());
        assertThat(one.getAgreed()).isNull();
        assertThat(one.getScorer().getModel()).isEqualTo("llama2");
        assertThat(one.getLogLikelihood()).isNotEqualTo(before.getLogLikelihood());
        assertThat(one.getSources()).hasSize(6);
        assertThat(one.getSources().stream().filter(s -> s.getContext().equals("pruned")))
            .hasSize(2)
            .allMatch(source -> source.getScorer().equals("llama2"));
        for (int i = 0; i < 6; i++) {
          SourceScore source = one.getSources().get(i);
          assertThat(source.getExact()).isFalse();
          if (source.getContext().equals("full")) {
            assertThat(source.getScorer()).isEqualTo("smollm2");
            assertThat(source.getMethod()).isEqualTo("exact-loo");
            assertThat(source.getTau()).isEqualTo(before.getSources().get(i).getTau());
          }
        }
      }
      // What was chosen for its low confidence says nothing about other traffic.
      long drawn =
          25
              + finals().stream()
                  .filter(one -> number(one.getResponseId()) >= 100)
                  .filter(one -> Sampling.share("shadow:" + one.getResponseId()) < 0.1)
                  .count();
      assertThat(cluster.read(topics.agreements().name())).hasSize((int) drawn);
      assertThat(target.health().isAlive()).isTrue();
    }
  }

  @Test
  void fastResultsComeWithoutATargetAndItLaterClosesThemByDeadlineOrBudget() throws Exception {
    try (AttributionProcessor fast = fast(Map.of("escalation.deadline", "1ms"))) {
      send(0, 3);
      await().atMost(Duration.ofSeconds(30)).until(() -> cluster.attributions(topics).size() == 3);
      assertThat(finals()).isEmpty();
      await().atMost(Duration.ofSeconds(30)).until(fast.health()::isReady);
    }
    Map<String, String> asked = Map.of("escalation.request.attributes.app", "support");
    try (AttributionProcessor fast = fast(Map.of())) {
      send(3, 8);
      await().atMost(Duration.ofSeconds(30)).until(() -> cluster.attributions(topics).size() == 8);
      await().atMost(Duration.ofSeconds(30)).until(fast.health()::isReady);
    }
    try (AttributionProcessor fast = fast(asked)) { // all of them say app = support
      send(8, 9);
      await().atMost(Duration.ofSeconds(30)).until(() -> cluster.attributions(topics).size() == 9);
      await().atMost(Duration.ofSeconds(30)).until(fast.health()::isReady);
    }
    // Two buckets with next to nothing in them: each lets one response begin, which overdraws it.
    try (AttributionProcessor target =
        target(
            Map.of(
                "budget.tokens-per-second", "0.000001",
                "budget.burst", "1h",
                "budget.urgent-share", "0.5"))) {
      Map<String, Attribution> finals =
          awaitFinals(9).stream().collect(Collectors.toMap(Attribution::getResponseId, one -> one));
      for (int i = 0; i < 3; i++) {
        closed(finals.get("q-" + i), TargetStage.EXPIRED);
      }
      List<Attribution> others =
          finals.values().stream().filter(one -> number(one.getResponseId()) >= 3).toList();
      assertThat(others.stream().filter(one -> one.getReasonCode().isEmpty()))
          .hasSize(2)
          .anyMatch(one -> one.getResponseId().equals("q-8"));
      others.stream()
          .filter(one -> !one.getReasonCode().isEmpty())
          .forEach(one -> closed(one, TargetStage.OVER_BUDGET));
      assertThat(
              target.meters().get("whence.escalations.closed").tag("how", "over_budget").counter())
          .satisfies(counter -> assertThat(counter.count()).isEqualTo(4));
    }
  }

  @Test
  void whatSomebodyAskedForIsClosedByTheTargetWhateverTheFastPathMakesOfIt() throws Exception {
    Map<String, String> asked =
        Map.of(
            "escalation.request.attributes.app", "support", // all of them say so
            "sampling.rate", "0");
    Conversation sourceless =
        AttributionCluster.conversation(
            "bare", words(50, 6), Part.of(PartKind.QUESTION, "question", words(40, 4) + " "));
    Conversation tooLong = withDocument("long", 400);
    try (AttributionProcessor fast = fast(asked);
        AttributionProcessor target = target(Map.of())) {
      send(question(0), sourceless, tooLong);
      Map<String, Attribution> finals =
          awaitFinals(3).stream().collect(Collectors.toMap(Attribution::getResponseId, one -> one));
      assertThat(finals.values()).allMatch(one -> one.getRevision() == 1);
      assertThat(List.of(finals.get("q-0"), finals.get("bare")))
          .allMatch(one -> one.getStatus() == ScoringStatus.SCORED)
          .allMatch(one -> one.getScorer().getModel().equals("llama2"));
      // This target's window is no longer than that of the fast path.
      assertThat(finals.get("long").getStatus()).isEqualTo(ScoringStatus.UNSUPPORTED);
      assertThat(finals.get("long").getReasonCode()).isEqualTo(TargetStage.UNSUPPORTED);
      assertThat(finals.get("long").getFlags())
          .containsExactly("PROMPT_TOO_LONG", TargetStage.UNSUPPORTED);
      assertThat(fast.health().isAlive()).isTrue();
      assertThat(target.health().isAlive()).isTrue();
    }
  }

  private static Conversation withDocument(String id, int words) {
    return AttributionCluster.conversation(
        id,
        words(50, 6),
        new Part(
            PartKind.RETRIEVED,
            "doc",
            "",
            "",
            Trust.RETRIEVED,
            words(0, words) + " ",
            true,
            List.of()),
        Part.of(PartKind.QUESTION, "question", words(40, 4) + " "));
  }

  /** A real model that says that its window is shorter than it is. */
  private static final class ShortScorer extends ForwardingScorer {
    private final int window;

    ShortScorer(Scorer real, int window) {
      super(real);
      this.window = window;
    }

    static ModelLoader loader(ModelLoader real, int window) {
      return (choice, beforeWeights) -> {
        ModelLoader.Loaded loaded = real.load(choice, beforeWeights);
        return new ModelLoader.Loaded(
            new ShortScorer(loaded.scorer(), window), loaded.nativeBytes());
      };
    }

    @Override
    public ScorerDescription description() {
      ScorerDescription of = super.description();
      return new ScorerDescription(
          of.model(),
          of.digest(),
          of.dtype(),
          of.device(),
          of.family(),
          of.layers(),
          window,
          of.shiftable(),
          of.parameters(),
          of.aliases());
    }
  }

  @Test
  void whatIsPastTheFastModelsWindowIsScoredByTheTargetAndWhatIsPastBothIsFinalThere()
      throws Exception {
    AttributionConfig config = cluster.config(topics, fastSettings(Map.of()));
    try (AttributionProcessor fast =
            AttributionProcessor.start(
                config,
                Map.of(),
                ShortScorer.loader(ModelLoader.local(config.engine()), 128),
                Halt.process());
        AttributionProcessor target = target(Map.of())) {
      // A word is a token here.
      send(withDocument("long", 180), withDocument("longer", 400));
      Map<String, Attribution> finals =
          awaitFinals(2).stream().collect(Collectors.toMap(Attribution::getResponseId, one -> one));
      for (String id : List.of("long", "longer")) {
        assertThat(provisional(id).getStatus()).isEqualTo(ScoringStatus.UNSUPPORTED);
        assertThat(provisional(id).getReasonCode()).isEqualTo("PROMPT_TOO_LONG");
        assertThat(finals.get(id).getRevision()).isEqualTo(1);
      }
      assertThat(finals.get("long").getStatus()).isEqualTo(ScoringStatus.SCORED);
      assertThat(finals.get("long").getScorer().getModel()).isEqualTo("llama2");
      assertThat(finals.get("long").getSources()).isNotEmpty();
      assertThat(finals.get("longer").getStatus()).isEqualTo(ScoringStatus.UNSUPPORTED);
      assertThat(finals.get("longer").getReasonCode()).isEqualTo(TargetStage.UNSUPPORTED);
      assertThat(finals.get("longer").getReason()).contains("window of 256 tokens");
      assertThat(cluster.escalations(topics))
          .hasSize(2)
          .allMatch(one -> one.getReasonCode().equals("PROMPT_TOO_LONG"))
          .noneMatch(Escalation::getUrgent)
          .allMatch(one -> one.getDeadline().isAfter(Instant.EPOCH));
      assertThat(cluster.read(topics.agreements().name())).as("pairs to learn from").isEmpty();
      assertThat(
              fast.meters()
                  .get("whence.escalations")
                  .tag("reason", "prompt_too_long")
                  .counter()
                  .count())
          .isEqualTo(2);
      assertThat(target.health().isAlive()).isTrue();
    }
  }

  @Test
  void afterADeadTargetUrgentOnesGetTheirResultBeforeOrdinaryOnesSpendTheBudget() throws Exception {
    long tokens; // of one escalation through the target; all of them are of one size
    try (AttributionProcessor fast = fast(Map.of());
        AttributionProcessor target = target(Map.of())) {
      send(0, 1);
      AttributionCost cost = awaitFinals(1).get(0).getCost();
      tokens = cost.getTrunkTokens() + cost.getBranchTokens();
      assertThat(fast.health().isAlive() && target.health().isAlive()).isTrue();
    }
    // Ordinary ones first, then the urgent ones, in the backlog of a target that is dead.
    try (AttributionProcessor fast = fast(Map.of())) {
      send(1, 31);
      await().atMost(Duration.ofMinutes(2)).until(() -> cluster.escalations(topics).size() == 31);
      assertThat(fast.health().isAlive()).isTrue();
    }
    Map<String, String> asked = Map.of("escalation.request.attributes.app", "support");
    try (AttributionProcessor fast = fast(asked)) { // all of them say so
      send(31, 36);
      await().atMost(Duration.ofMinutes(2)).until(() -> cluster.escalations(topics).size() == 36);
      assertThat(fast.health().isAlive()).isTrue();
    }
    // The bucket holds what five take, nothing of it is kept for the urgent, and it hardly fills.
    Map<String, String> budget =
        Map.of(
            "budget.tokens-per-second",
            String.format(Locale.ROOT, "%.6f", 4.5 * tokens / 86_400),
            "budget.burst",
            "1d",
            "budget.urgent-share",
            "0",
            "batch.max-records",
            "4");
    try (AttributionProcessor target = target(budget)) {
      Map<String, Attribution> finals =
          awaitFinals(36).stream()
              .collect(Collectors.toMap(Attribution::getResponseId, one -> one));
      for (int i = 1; i < 31; i++) {
        closed(finals.get("q-" + i), TargetStage.OVER_BUDGET);
      }
      for (int i = 31; i < 36; i++) {
        Attribution urgent = finals.get("q-" + i);
        assertThat(urgent.getReasonCode()).isEmpty();
        assertThat(urgent.getScorer().getModel()).isEqualTo("llama2");
        assertThat(urgent.getSources()).allMatch(SourceScore::getExact);
      }
      assertThat(target.health().isAlive()).isTrue();
    }
  }

  @Test
  void aTargetThatHoldsItsFirstRecordDelaysNoFastResult(@TempDir Path directory) throws Exception {
    Path hold = Files.createFile(directory.resolve("hold"));
    AttributionConfig config =
        cluster.config(
            topics, targetSettings(Map.of("hang.at-least", "10m", "batch.max-records", "4")));
    try (AttributionProcessor fast = fast(Map.of());
        AttributionProcessor target =
            AttributionProcessor.start(
                config,
                Map.of(),
                HeldScorer.loader(ModelLoader.local(config.engine()), hold),
                Halt.process())) {
      send(0, 1);
      await().atMost(Duration.ofSeconds(60)).until(() -> Files.exists(HeldScorer.reached(hold)));
      // More than a batch of either role, while the target stands at its first record.
      send(1, 100);
      await()
          .atMost(Duration.ofSeconds(90))
          .pollInterval(SELDOM)
          .until(() -> cluster.attributions(topics).size() >= 100);
      assertThat(cluster.attributions(topics))
          .hasSize(100)
          .allMatch(one -> one.getPhase() == AttributionPhase.PROVISIONAL)
          .extracting(Attribution::getResponseId)
          .doesNotHaveDuplicates();
      assertThat(cluster.escalations(topics)).hasSize(100);
      await().atMost(Duration.ofSeconds(30)).until(fast.health()::isReady);
      assertThat(target.health().isAlive()).isTrue();
      Files.delete(hold);
      assertThat(awaitFinals(100)).allMatch(one -> one.getRevision() == 1);
    }
  }

  private void closed(Attribution one, String code) {
    Attribution before = provisional(one.getResponseId());
    assertThat(one.getReasonCode()).isEqualTo(code);
    assertThat(one.getFlags()).contains(code);
    assertThat(one.getRevision()).isEqualTo(1);
    assertThat(one.getStatus()).isEqualTo(ScoringStatus.SCORED);
    assertThat(one.getSources()).isEqualTo(before.getSources());
    assertThat(one.getScorer()).isEqualTo(before.getScorer());
  }

  @Test
  void anEscalationThatCanNotBeReadHasFailedAndTheOthersAreScored() throws Exception {
    cluster.send(
        List.of(
            AttributionCluster.record(
                topics.escalations().name(),
                "broken",
                "no avro".getBytes(StandardCharsets.UTF_8))));
    try (AttributionProcessor fast = fast(Map.of());
        AttributionProcessor target = target(Map.of())) {
      send(0, 2);
      Map<String, Attribution> finals =
          awaitFinals(3).stream().collect(Collectors.toMap(Attribution::getResponseId, one -> one));
      assertThat(finals.get("broken").getStatus()).isEqualTo(ScoringStatus.FAILED);
      assertThat(finals.get("broken").getReasonCode()).isEqualTo("NOT_AVRO");
      assertThat(finals.get("q-1").getStatus()).isEqualTo(ScoringStatus.SCORED);
      assertThat(cluster.read(topics.deadLettersOf(topics.escalations()).name())).hasSize(1);
      assertThat(fast.health().isAlive()).isTrue();
      assertThat(target.health().isAlive()).isTrue();
    }
  }

  @Test
  void anEscalationOnWhichTheTargetDiedThreeTimesLeavesTheFastResultUntilSomebodyReplaysIt()
      throws Exception {
    try (AttributionProcessor fast = fast(Map.of("escalation.deadline", "1ms"))) {
      send(0, 1);
      await()
          .atMost(Duration.ofSeconds(60))
          .until(() -> cluster.read(topics.escalations().name()).size() == 1);
      assertThat(fast.health().isAlive()).isTrue();
    }
    var escalation = cluster.read(topics.escalations().name()).get(0);
    // What three processes that die in the model leave behind.
    try (Admin admin =
        Admin.create(Map.of("bootstrap.servers", cluster.broker.bootstrapServers()))) {
      admin
          .alterConsumerGroupOffsets(
              AttributionCluster.prefix(topics) + "target",
              Map.of(
                  new TopicPartition(escalation.topic(), escalation.partition()),
                  new OffsetAndMetadata(
                      escalation.offset(), "attempt=3;to=" + (escalation.offset() + 1))))
          .all()
          .get(30, TimeUnit.SECONDS);
    }
    try (AttributionProcessor target = target(Map.of())) {
      closed(awaitFinals(1).get(0), TargetStage.FAILED);
      assertThat(cluster.read(topics.deadLettersOf(topics.escalations()).name())).hasSize(1);
      // The deadline was one for the first time: who replays it wants to know now.
      ProducerRecord<byte[], byte[]> again =
          new ProducerRecord<>(topics.escalations().name(), escalation.key(), escalation.value());
      again.headers().add(Replays.HEADER, "1".getBytes(StandardCharsets.UTF_8));
      cluster.send(List.of(again));
      await().atMost(Duration.ofSeconds(60)).pollInterval(SELDOM).until(() -> finals().size() == 2);
      Attribution scored = finals().get(1);
      assertThat(scored.getStatus()).isEqualTo(ScoringStatus.SCORED);
      assertThat(scored.getRevision()).isEqualTo(3);
      assertThat(scored.getScorer().getModel()).isEqualTo(TARGET_MODEL.getFileName().toString());
      assertThat(scored.getFlags()).doesNotContain(TargetStage.EXPIRED, TargetStage.FAILED);
      assertThat(target.health().isAlive()).isTrue();
    }
  }

  @Test
  void keysOfTheOtherRoleAndADeadlineOfNothingAreRefused() {
    assertThatThrownBy(
            () ->
                cluster.config(
                    topics,
                    Map.of(
                        "role",
                        "target",
                        "escalation.enabled",
                        "true",
                        "sampling.rate",
                        "0.5",
                        "start",
                        "latest")))
        .isInstanceOf(ConfigException.class)
        .hasMessageContaining("start of the target must be earliest")
        .hasMessageContaining("escalation.enabled is for the role fast")
        .hasMessageContaining("sampling.* and filter.* are for the role fast");
    assertThatThrownBy(
            () ->
                cluster.config(
                    topics, Map.of("budget.tokens-per-second", "5", "escalation.deadline", "0s")))
        .isInstanceOf(ConfigException.class)
        .hasMessageContaining("budget.* is for the role target")
        .hasMessageContaining("escalation.deadline");
  }
}
