package dev.whence.quickstart;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.assertj.core.api.Assumptions.assumeThat;

import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationCodec;
import dev.whence.embedded.DataDirectory;
import dev.whence.embedded.EmbeddedBroker;
import dev.whence.embedded.EmbeddedRegistry;
import dev.whence.quickstart.view.Terminal;
import dev.whence.samples.BundledModels;
import dev.whence.schemas.AvroSerdes;
import dev.whence.schemas.EventHeaders;
import dev.whence.schemas.avro.Attribution;
import dev.whence.schemas.avro.AttributionPhase;
import dev.whence.schemas.avro.LlmResponse;
import dev.whence.schemas.avro.ModelKind;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.ScoringStatus;
import dev.whence.schemas.avro.SourceScore;
import dev.whence.schemas.avro.TransferEvent;
import dev.whence.schemas.avro.TransferState;
import io.confluent.kafka.serializers.KafkaAvroDeserializer;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * The quickstart as it is started, with a small random model; then its topics, as anyone reads
 * them.
 */
@Timeout(value = 5, unit = TimeUnit.MINUTES)
class QuickstartIT {
  @TempDir static Path models;
  private static Path model;

  @TempDir Path directory;
  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();

  @BeforeAll
  static void writeModel() throws IOException {
    model = TinyModel.write(models.resolve("tiny"));
  }

  @Test
  void answeredQuestionsAreAttributedOnceAndASecondStartGoesOnWithTheSameData() throws Exception {
    assertThat(run(options(Optional.of(model), Optional.empty(), 2))).as(errors()).isZero();
    assertThat(run(options(Optional.of(model), Optional.empty(), 1))).as(errors()).isZero();

    List<ConsumerRecord<String, Attribution>> records = attributions();
    assertThat(records).hasSize(3);
    assertThat(records.stream().map(ConsumerRecord::key).distinct()).hasSize(3);
    for (ConsumerRecord<String, Attribution> record : records) {
      Attribution attribution = record.value();
      assertThat(attribution.getResponseId()).isEqualTo(record.key());
      assertThat(attribution.getPhase()).isEqualTo(AttributionPhase.FINAL);
      assertThat(attribution.getStatus()).isEqualTo(ScoringStatus.SCORED);
      assertThat(attribution.getScorer().getModel()).isEqualTo("tiny");
      assertThat(attribution.getScorer().getSurrogate()).isFalse();
      assertThat(attribution.getSources()).hasSizeGreaterThan(1);
      assertThat(attribution.getSources()).allMatch(SourceScore::getExact);
      assertThat(attribution.getMatrix()).hasSameSizeAs(attribution.getSources());
      for (int i = 0; i < attribution.getSources().size(); i++) {
        double row = attribution.getMatrix().get(i).stream().mapToDouble(x -> x).sum();
        assertThat(row).isCloseTo(attribution.getSources().get(i).getTau(), within(1e-9));
      }
      assertThat(attribution.getGroundedness())
          .isEqualTo(attribution.getLogLikelihood() - attribution.getLogLikelihoodWithoutContext());
    }
    assertThat(output())
        .contains(
            "question: From 1945-1949 Dick Humbert played for an NFL team based in what state?")
        .contains("groundedness ")
        .contains("kafka            127.0.0.1:")
        .contains("2 answers, ")
        .doesNotContain("\u001b");
  }

  @Test
  void aFileIsReplayedAndRepeatsWithNewIdsAndWhatIsNoRecordIsLeftOut() throws Exception {
    Path input = directory.resolve("input.jsonl");
    Files.writeString(
        input, recorded("r-1") + "\n{\"responseId\":\"r-2\"}\n" + recorded("r-3") + "\n");

    assertThat(run(options(Optional.of(model), Optional.of(input), 5))).as(errors()).isZero();

    assertThat(attributions().stream().map(ConsumerRecord::key))
        .containsExactlyInAnyOrder("r-1", "r-3", "r-1-2", "r-3-2", "r-1-3");
    assertThat(errors()).contains("input.jsonl, line 2: ").hasLineCount(1);
  }

  @Test
  @Timeout(value = 2, unit = TimeUnit.MINUTES)
  void aResponseThatCanNotBeSentIsReplacedAndTwoWithOneIdAreTwo() throws Exception {
    Path input = directory.resolve("input.jsonl");
    String tooLarge =
        recorded("large").replace("Pennsylvania.", "x".repeat(9 << 20)); // a topic takes 8 MiB
    Files.writeString(
        input, String.join("\n", recorded("r-1"), recorded("r-1"), tooLarge, recorded("r-3")));

    assertThat(run(options(Optional.of(model), Optional.of(input), 5))).as(errors()).isZero();

    assertThat(attributions().stream().map(ConsumerRecord::key))
        .containsExactlyInAnyOrder("r-1", "r-1", "r-3", "r-1-2", "r-1-2");
    assertThat(errors()).contains("response large could not be sent (").hasLineCount(1);
    assertThat(output()).contains("5 answers, ");
  }

  @Test
  void aFileWithoutAnyRecordEndsWithOneSentence() throws Exception {
    Path input = Files.writeString(directory.resolve("input.jsonl"), "\n\n");

    assertThat(run(options(Optional.of(model), Optional.of(input), 1))).isEqualTo(1);

    assertThat(errors().strip()).isEqualTo("the input holds no response that can be read");
  }

  @Test
  void withoutFlagsTheBundledModelAnswersInAWorldWhoseTruthIsKnown() throws Exception {
    System.setProperty(BundledModels.DIRECTORY_PROPERTY, models.toString());
    try {
      assertThat(run(options(Optional.empty(), Optional.empty(), 2))).as(errors()).isZero();
    } finally {
      System.clearProperty(BundledModels.DIRECTORY_PROPERTY);
    }
    assertThat(output())
        .contains("model            chat-v1, ")
        .contains("transfer         left out: it begins after 3 answers");
    assertThat(output().lines().filter(line -> line.startsWith("  truth: "))).hasSize(2);
  }

  @Test
  void theNextBaseGetsTheFineTuningWhileTrafficGoesOnAndAnUnrelatedDifferenceIsRejected()
      throws Exception {
    Process process = Launched.everything(directory.resolve("data"), models);
    List<String> lines = new ArrayList<>();
    try (BufferedReader output = process.inputReader()) {
      lines.addAll(Launched.linesUntil(output, "transfer         (rejected|failed): "));
      assertThat(lines.get(lines.size() - 1)).contains("unrelated");
      if (lines.stream().noneMatch(line -> line.contains("is the first that"))) {
        lines.addAll(Launched.linesUntil(output, "is the first that"));
      }
      lines.addAll(Launched.linesUntil(output, "  running: "));
      assertThat(peakResidentMegabytes(process)).isBetween(100L, 2048L);
      process.destroy(); // SIGTERM, as Ctrl-C
      assertThat(process.waitFor(30, TimeUnit.SECONDS)).isTrue();
    } finally {
      process.destroyForcibly();
    }

    assertThat(lines.stream().filter(line -> line.startsWith("transfer ")))
        .satisfiesExactlyInAnyOrder(
            line -> assertThat(line).contains("announced: base-v2"),
            line -> assertThat(line).contains("merged: base-v2 + (chat-v1 - base-v1)"),
            line -> assertThat(line).contains("gated: 6 of 6 gates passed").contains("(base-v2)"),
            line -> assertThat(line).contains("published: chat-v1-on-base-v2, digest "),
            line -> assertThat(line).contains("asked for: "),
            line -> assertThat(line).contains("is the first that"),
            // The ends of the way are good models: between them is a hill.
            line ->
                assertThat(line)
                    .contains("rejected: unrelated-on-base-v2 (failed: connectivity")
                    .contains("task loss on the way to it "));

    List<TransferEvent> transfers =
        records("whence.transfers", TransferEvent.class).stream()
            .map(ConsumerRecord::value)
            .toList();
    TransferEvent published = in(transfers, TransferState.PUBLISHED);
    TransferEvent rejected = in(transfers, TransferState.REJECTED);
    assertThat(published.getRequestedBy()).isEqualTo("subscription");
    assertThat(rejected.getConnectivity()).hasSize(11);
    assertThat(rejected.getBarrierTask()).isGreaterThan(1);
    ModelRelease release =
        records("whence.models", ModelRelease.class).stream()
            .map(ConsumerRecord::value)
            .filter(one -> one.getKind() == ModelKind.TRANSFERRED)
            .findFirst()
            .orElseThrow();
    assertThat(release.getDigest()).isEqualTo(published.getDigest());
    // What the quickstart itself announces and asks for is a CloudEvent, as everything else.
    assertThat(records("whence.models", ModelRelease.class))
        .allMatch(one -> isCloudEvent(one, "dev.whence.ModelRelease.v1"));
    assertThat(records("whence.transfers", TransferEvent.class))
        .allMatch(one -> isCloudEvent(one, "dev.whence.TransferEvent.v1"));

    // Every attribution names the model that made it, and there are two of the target, in turn.
    List<Attribution> attributions =
        records("whence.attributions", Attribution.class).stream()
            .sorted(Comparator.comparingLong(ConsumerRecord::timestamp))
            .map(ConsumerRecord::value)
            .toList();
    Map<AttributionPhase, List<Attribution>> byPhase =
        attributions.stream().collect(Collectors.groupingBy(Attribution::getPhase));
    // Nothing was measured of the proxy yet: it says what it thinks, and the model has the word.
    assertThat(byPhase.get(AttributionPhase.PROVISIONAL))
        .isNotEmpty()
        .allMatch(one -> one.getScorer().getModel().equals(BundledModels.PROXY))
        .allMatch(one -> one.getScorer().getSurrogate());
    List<Attribution> finals = byPhase.get(AttributionPhase.FINAL);
    assertThat(finals)
        .hasSizeGreaterThan(5)
        .allMatch(one -> one.getStatus() == ScoringStatus.SCORED)
        .allMatch(one -> !one.getScorer().getDigest().isEmpty());
    List<Attribution> target = finals.stream().filter(one -> one.getRevision() == 1).toList();
    List<String> digests =
        target.stream().map(one -> one.getScorer().getDigest()).distinct().toList();
    assertThat(digests).hasSize(2).last().isEqualTo(published.getDigest());
    int taken =
        (int)
            target.stream()
                .filter(one -> one.getScorer().getDigest().equals(digests.get(0)))
                .count();
    assertThat(target.subList(taken, target.size()))
        .isNotEmpty()
        .allMatch(one -> one.getScorer().getDigest().equals(published.getDigest()))
        .allMatch(one -> one.getScorer().getModel().equals("chat-v1-on-base-v2"));
    // The application answers with what scores: only what was on its way met the other model.
    assertThat(target.stream().filter(one -> one.getScorer().getSurrogate()).count())
        .isLessThanOrEqualTo(1);
    // Each response has its one final attribution; at the end one may have been on its way.
    Set<String> answered =
        finals.stream().map(Attribution::getResponseId).collect(Collectors.toSet());
    assertThat(answered).hasSameSizeAs(finals);
    assertThat(
            records("whence.responses", LlmResponse.class).stream()
                .filter(one -> !answered.contains(one.key())))
        .hasSizeLessThanOrEqualTo(1);
  }

  private static boolean isCloudEvent(ConsumerRecord<?, ?> record, String type) {
    Header header = record.headers().lastHeader(EventHeaders.TYPE);
    return header != null && new String(header.value(), StandardCharsets.UTF_8).equals(type);
  }

  private static TransferEvent in(List<TransferEvent> transfers, TransferState state) {
    List<TransferEvent> found =
        transfers.stream().filter(event -> event.getState() == state).toList();
    assertThat(found).hasSize(1);
    return found.get(0);
  }

  /** Where the system says it. */
  private static long peakResidentMegabytes(Process process) throws IOException {
    Path status = Path.of("/proc", Long.toString(process.pid()), "status");
    assumeThat(status).exists();
    return Files.readAllLines(status).stream()
        .filter(line -> line.startsWith("VmHWM:"))
        .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) / 1024)
        .findFirst()
        .orElseThrow();
  }

  @Test
  void aModelThatIsNotThereEndsWithOneSentence() {
    Path missing = directory.resolve("missing.gguf");

    assertThat(run(options(Optional.of(missing), Optional.empty(), 1))).isEqualTo(1);

    assertThat(errors().strip()).isEqualTo(missing + " does not exist");
  }

  @Test
  void aDataDirectoryInUseEndsWithOneSentence() throws Exception {
    try (DataDirectory held = DataDirectory.acquire(directory.resolve("data"))) {
      assertThat(run(options(Optional.of(model), Optional.empty(), 1))).isEqualTo(1);
      assertThat(errors()).contains(held.path() + " is in use by another process").hasLineCount(1);
    }
  }

  @Test
  void topicsOnlyCreatesTopicsAndSchemasAndGivesEverythingBackWhenStopped() throws Exception {
    Process process = Launched.topicsOnly(directory.resolve("data"));
    try {
      String bootstrap = Launched.awaitLine(process, "kafka            ");
      try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
        assertThat(admin.listTopics().names().get())
            .contains("whence.responses", "whence.attributions", "whence.models");
      }
    } finally {
      process.destroy(); // SIGTERM, as Ctrl-C: the same hook
      assertThat(process.waitFor(20, TimeUnit.SECONDS)).isTrue();
    }
    DataDirectory.acquire(directory.resolve("data")).close();
  }

  @Test
  void aBrokerThatLosesItsDiskEndsTheProcessWithASentenceThatSaysWhatToDo() throws Exception {
    Path data = directory.resolve("data");
    Path errors = directory.resolve("errors.txt");
    Process process = Launched.topicsOnly(data, errors);
    try {
      Launched.awaitLine(process, "kafka            ");
      Files.move(data.resolve("kafka"), data.resolve("gone"));
      assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
      assertThat(process.exitValue()).isEqualTo(1);
      assertThat(Files.readAllLines(errors))
          .last()
          .asString()
          .startsWith("The embedded broker ends this process, ")
          .contains("'" + data + "'")
          .endsWith("--data-dir.");
    } finally {
      process.destroyForcibly().waitFor();
    }
  }

  private QuickstartOptions options(Optional<Path> model, Optional<Path> input, int responses) {
    return new QuickstartOptions(
        model,
        input,
        OptionalInt.of(responses),
        OptionalDouble.empty(),
        directory.resolve("data"),
        false,
        0,
        0,
        "fp32",
        "cpu");
  }

  private int run(QuickstartOptions options) {
    return Quickstart.run(
        options,
        Terminal.plain(new PrintStream(out, true, StandardCharsets.UTF_8)),
        new PrintStream(err, true, StandardCharsets.UTF_8));
  }

  private String output() {
    return out.toString(StandardCharsets.UTF_8);
  }

  private String errors() {
    return err.toString(StandardCharsets.UTF_8);
  }

  private static String recorded(String id) {
    Conversation question = AnsweredQuestions.questions().get(0);
    Conversation answered =
        new Conversation(
            id,
            "acme/chat-1",
            question.occurredAt(),
            question.messages(),
            "",
            "Pennsylvania.",
            "stop",
            List.of(),
            "",
            "",
            "",
            "",
            Map.of());
    return ConversationCodec.write(answered);
  }

  /**
   * Everything committed on the topic, read by Confluent's deserializer after the quickstart ended.
   */
  private List<ConsumerRecord<String, Attribution>> attributions() throws Exception {
    return records("whence.attributions", Attribution.class);
  }

  private <T> List<ConsumerRecord<String, T>> records(String topic, Class<T> type)
      throws Exception {
    try (EmbeddedBroker broker = EmbeddedBroker.open(directory.resolve("data/kafka"));
        EmbeddedRegistry registry = EmbeddedRegistry.open(directory.resolve("data/registry"))) {
      Map<String, Object> properties =
          new HashMap<>(AvroSerdes.deserializer(registry.url(), Map.of()));
      properties.put("bootstrap.servers", broker.bootstrapServers());
      properties.put("isolation.level", "read_committed");
      properties.put("key.deserializer", StringDeserializer.class);
      properties.put("value.deserializer", KafkaAvroDeserializer.class);
      try (KafkaConsumer<String, Object> consumer = new KafkaConsumer<>(properties)) {
        List<TopicPartition> partitions =
            consumer.partitionsFor(topic).stream()
                .map(info -> new TopicPartition(info.topic(), info.partition()))
                .toList();
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
        Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
        List<ConsumerRecord<String, T>> records = new ArrayList<>();
        long deadline = System.nanoTime() + Duration.ofSeconds(20).toNanos();
        while (System.nanoTime() < deadline
            && partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
          for (ConsumerRecord<String, Object> record : consumer.poll(Duration.ofMillis(100))) {
            records.add(
                new ConsumerRecord<>(
                    record.topic(),
                    record.partition(),
                    record.offset(),
                    record.timestamp(),
                    record.timestampType(),
                    record.serializedKeySize(),
                    record.serializedValueSize(),
                    record.key(),
                    type.cast(record.value()),
                    record.headers(),
                    record.leaderEpoch()));
          }
        }
        return records;
      }
    }
  }
}
