package dev.whence.attribution.stage;

import static dev.whence.attribution.stage.AttributionCluster.conversation;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import dev.whence.attribution.toy.ForwardingScorer;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.embedded.EmbeddedRegistry;
import dev.whence.engine.EngineException;
import dev.whence.engine.Scorer;
import dev.whence.engine.Trunk;
import dev.whence.runtime.config.ConfigException;
import dev.whence.runtime.worker.Halt;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.ScoringStatus;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.slf4j.LoggerFactory;

class AttributionFailuresIT {
  private static final String CANARY = "canary-5f2c9d";

  private AttributionCluster cluster;
  private Topics topics;

  @BeforeEach
  void open() throws Exception {
    cluster = AttributionCluster.shared();
    topics = cluster.topics();
  }

  @Test
  void aRegistryThatIsAwayPausesTheStreamAndLosesNothing(@TempDir Path directory) throws Exception {
    EmbeddedRegistry registry = EmbeddedRegistry.open(directory);
    int port = registry.port();
    registry.close();
    send(conversation("r-1"));
    try (AttributionProcessor processor =
        AttributionProcessor.start(
            cluster.config(topics, "http://127.0.0.1:" + port, Map.of()), Map.of())) {
      await()
          .atMost(Duration.ofSeconds(30))
          .until(
              () ->
                  processor.health().reasons().values().stream()
                      .anyMatch(
                          reason -> reason.startsWith("the schema registry can not be reached")));
      assertThat(processor.health().isAlive()).isTrue();
      assertThat(cluster.read(topics.attributions().name())).isEmpty();
    }
    assertThat(cluster.read(topics.deadLettersOf(topics.responses()).name())).isEmpty();
    try (AttributionProcessor processor =
        AttributionProcessor.start(cluster.config(topics, Map.of()), Map.of())) {
      awaitAttributions(1);
      assertThat(processor.health().isAlive()).isTrue();
    }
    assertThat(cluster.attributions(topics))
        .singleElement()
        .satisfies(
            attribution -> assertThat(attribution.getStatus()).isEqualTo(ScoringStatus.SCORED));
  }

  @Test
  void aResponseOnWhichTheModelGivesNaNHasFailedAndTheOthersAreScored() throws Exception {
    send(conversation("good-1"));
    send(conversation("between"));
    send(conversation("good-2"));
    try (AttributionProcessor processor = start(nanOn(tokens -> tokens.length == poisoned()))) {
      send(withLength("nan-2"));
      send(conversation("good-3"));
      awaitAttributions(5);
      assertThat(processor.health().isAlive()).isTrue();
    }
    assertThat(cluster.attributions(topics))
        .filteredOn(attribution -> attribution.getResponseId().equals("nan-2"))
        .singleElement()
        .satisfies(
            attribution -> {
              assertThat(attribution.getStatus()).isEqualTo(ScoringStatus.FAILED);
              assertThat(attribution.getReasonCode()).isEqualTo("SCORER_FAILED");
              assertThat(attribution.getScorer().getModel()).isEqualTo("smollm2");
            });
    assertThat(cluster.attributions(topics))
        .filteredOn(attribution -> attribution.getStatus() == ScoringStatus.SCORED)
        .hasSize(4);
    assertThat(cluster.read(topics.deadLettersOf(topics.responses()).name())).hasSize(1);
  }

  @Test
  void aResponseWithAnIdOfMegabytesHasFailedAndTheOthersAreScored() throws Exception {
    Conversation usual = conversation("huge");
    Conversation huge =
        Conversation.builder(usual.responseId())
            .model(usual.model())
            .occurredAt(usual.occurredAt())
            .messages(usual.messages())
            .response(usual.response())
            .conversationId("c".repeat(5 << 20))
            .subjectId("s".repeat(4 << 20))
            .build();
    send(huge);
    send(conversation("good"));
    try (AttributionProcessor processor =
        AttributionProcessor.start(
            cluster.config(topics, Map.of("limits.record-bytes", "32MiB")), Map.of())) {
      awaitAttributions(2);
      assertThat(processor.health().isAlive()).isTrue();
    }
    assertThat(cluster.attributions(topics))
        .extracting(a -> a.getResponseId() + " " + a.getStatus() + " " + a.getReasonCode())
        .containsExactlyInAnyOrder("huge FAILED INVALID_RESPONSE", "good SCORED ");
    assertThat(cluster.read(topics.deadLettersOf(topics.responses()).name())).hasSize(1);
  }

  @Test
  void aModelThatGivesNaNForEverythingIsNotTheResponsesFault() throws Exception {
    for (int i = 0; i < 8; i++) {
      send(conversation("r-" + i));
    }
    try (AttributionProcessor processor = start(nanOn(tokens -> true))) {
      await()
          .atMost(Duration.ofSeconds(30))
          .until(
              () ->
                  processor.health().reasons().values().stream()
                      .anyMatch(reason -> reason.contains("different records in a row")));
    }
    assertThat(cluster.read(topics.attributions().name())).isEmpty();
    assertThat(cluster.read(topics.deadLettersOf(topics.responses()).name())).isEmpty();
  }

  @Test
  void noTextOfARecordGetsIntoMessagesLogsHeadersOrMetrics() throws Exception {
    ListAppender<ILoggingEvent> logged = new ListAppender<>();
    logged.list = new CopyOnWriteArrayList<>();
    logged.start();
    Logger root = (Logger) LoggerFactory.getLogger(org.slf4j.Logger.ROOT_LOGGER_NAME);
    Logger ours = (Logger) LoggerFactory.getLogger("dev.whence");
    Level before = ours.getLevel();
    ours.setLevel(Level.DEBUG);
    root.addAppender(logged);
    String metrics;
    try {
      byte[] good = cluster.avro(topics, secret("good", CANARY));
      byte[] twice = cluster.avro(topics, secret("unsupported", CANARY + " t1".repeat(400)));
      List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
      records.add(record("good", good));
      records.add(record("unsupported", twice));
      records.add(record("cut", Arrays.copyOf(good, good.length - 7)));
      records.add(record("plain", (CANARY + " plain text").getBytes(StandardCharsets.UTF_8)));
      records.add(record("thrown", cluster.avro(topics, secret("thrown", CANARY + " t7 t8 t9"))));
      cluster.send(records);
      Predicate<int[]> never = tokens -> false;
      try (AttributionProcessor processor = start(nanOn(never))) {
        awaitAttributions(records.size());
        metrics = processor.meters().scrape() + processor.health().reasons();
      }
    } finally {
      root.detachAppender(logged);
      ours.setLevel(before);
    }
    StringBuilder said = new StringBuilder(metrics);
    for (ILoggingEvent event : logged.list) {
      said.append(event.getFormattedMessage()).append('\n');
      for (var thrown = event.getThrowableProxy(); thrown != null; thrown = thrown.getCause()) {
        said.append(thrown.getMessage()).append('\n');
      }
    }
    List<ConsumerRecord<byte[], byte[]>> written =
        new ArrayList<>(cluster.read(topics.attributions().name()));
    for (ConsumerRecord<byte[], byte[]> dead :
        cluster.read(topics.deadLettersOf(topics.responses()).name())) {
      for (Header header : dead.headers()) {
        said.append(new String(header.value(), StandardCharsets.UTF_8)).append('\n');
      }
    }
    for (ConsumerRecord<byte[], byte[]> result : written) {
      said.append(new String(result.value(), StandardCharsets.UTF_8)).append('\n');
      for (Header header : result.headers()) {
        said.append(new String(header.value(), StandardCharsets.UTF_8)).append('\n');
      }
    }
    assertThat(said.toString()).doesNotContain(CANARY);
    assertThat(written).hasSize(5);
  }

  @Test
  void aMissingModelIsOneClearSentence() {
    assertThatThrownBy(
            () ->
                AttributionProcessor.start(
                    cluster.config(topics, Map.of("model", "/no/such/model")), Map.of()))
        .isInstanceOf(ConfigException.class)
        .hasMessageContaining("/no/such/model");
    AttributionProcessor damaged =
        AttributionProcessor.start(
            cluster.config(topics, Map.of("model", "src/test/java")), Map.of());
    try (damaged) {
      assertThatThrownBy(() -> damaged.ended().orTimeout(30, TimeUnit.SECONDS).join())
          .isInstanceOf(CompletionException.class)
          .cause()
          .isInstanceOf(ConfigException.class)
          .hasMessageContaining("config.json");
      assertThat(damaged.health().isAlive()).isFalse();
    }
  }

  /** Number of tokens of {@link #withLength}: no other conversation here has as many. */
  private static int poisoned() {
    return 24 + 4 + 11;
  }

  private static Conversation withLength(String id) {
    Conversation usual = conversation(id);
    return conversation(id, AttributionCluster.words(50, 11), usual.parts().toArray(Part[]::new));
  }

  private static Conversation secret(String id, String text) {
    return Conversation.builder(id)
        .model("acme/chat-1")
        .messages(
            List.of(
                Message.of(
                    Message.RAW,
                    List.of(
                        Part.of(PartKind.RETRIEVED, "doc", text + " t2 t3 "),
                        Part.of(PartKind.QUESTION, "question", CANARY + " t4 ")))))
        .reasoning(CANARY)
        .response("t5 " + CANARY)
        .attributes(Map.of("app", CANARY))
        .build();
  }

  private AttributionProcessor start(ModelLoader loader) {
    return AttributionProcessor.start(
        cluster.config(topics, Map.of()), Map.of(), loader, Halt.process());
  }

  /** The real model, but for prompts of which it says that it can not give a number. */
  private ModelLoader nanOn(Predicate<int[]> poison) {
    ModelLoader real = new LocalModelLoader(cluster.config(topics, Map.of()).engine());
    return (choice, beforeWeights) -> {
      ModelLoader.Loaded loaded = real.load(choice, beforeWeights);
      return new ModelLoader.Loaded(new NanScorer(loaded.scorer(), poison), loaded.nativeBytes());
    };
  }

  private static final class NanScorer extends ForwardingScorer {
    private final Predicate<int[]> poison;

    NanScorer(Scorer real, Predicate<int[]> poison) {
      super(real);
      this.poison = poison;
    }

    @Override
    public Trunk trunk(int[] tokens, int scoredFrom) {
      if (poison.test(tokens)) {
        throw new EngineException(EngineException.Kind.RECORD, "the logits are not finite");
      }
      return super.trunk(tokens, scoredFrom);
    }
  }

  private void send(Conversation conversation) {
    cluster.send(List.of(record(conversation.responseId(), cluster.avro(topics, conversation))));
  }

  private ProducerRecord<byte[], byte[]> record(String id, byte[] value) {
    return AttributionCluster.record(topics.responses().name(), id, value);
  }

  private void awaitAttributions(int count) {
    await()
        .atMost(Duration.ofSeconds(60))
        .until(() -> cluster.read(topics.attributions().name()).size() >= count);
  }
}
