package dev.whence.quickstart;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationCodec;
import dev.whence.embedded.DataDirectory;
import dev.whence.quickstart.view.Terminal;
import dev.whence.samples.BundledModels;
import dev.whence.schemas.avro.Attribution;
import dev.whence.schemas.avro.AttributionPhase;
import dev.whence.schemas.avro.ScoringStatus;
import dev.whence.schemas.avro.SourceScore;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
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

    assertThat(errors().strip()).isEqualTo("whence: the input holds no response that can be read");
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
  void aModelThatIsNotThereEndsWithOneSentence() {
    Path missing = directory.resolve("missing.gguf");

    assertThat(run(options(Optional.of(missing), Optional.empty(), 1))).isEqualTo(1);

    assertThat(errors().strip()).isEqualTo("whence: " + missing + " does not exist");
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
        Conversation.builder(id)
            .model("acme/chat-1")
            .occurredAt(question.occurredAt())
            .messages(question.messages())
            .response("Pennsylvania.")
            .finishReason("stop")
            .build();
    return ConversationCodec.write(answered);
  }

  /**
   * Everything committed on the topic, read by Confluent's deserializer after the quickstart ended.
   */
  private List<ConsumerRecord<String, Attribution>> attributions() throws Exception {
    return DataDirectories.records(
        directory.resolve("data"), "whence.attributions", Attribution.class);
  }
}
