package dev.whence.attribution.stage;

import static dev.whence.attribution.toy.Conversations.document;
import static dev.whence.attribution.toy.Conversations.question;
import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.attribution.AttributionNote;
import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.Attributor;
import dev.whence.attribution.OverWindow;
import dev.whence.attribution.method.Cascade;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.attribution.method.Splice;
import dev.whence.attribution.toy.Conversations;
import dev.whence.attribution.toy.ToyTemplate;
import dev.whence.attribution.toy.ToyTokenizer;
import dev.whence.attribution.toy.ToyTransformer;
import dev.whence.attribution.toy.VerbatimTemplate;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Part;
import dev.whence.engine.Scorer;
import dev.whence.engine.text.PromptTemplate;
import dev.whence.runtime.config.ModelSettings;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.EventWriter;
import dev.whence.runtime.worker.Outcome;
import dev.whence.runtime.worker.Result;
import dev.whence.runtime.worker.SourceRecord;
import dev.whence.schemas.LlmResponses;
import dev.whence.schemas.Topic;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.Attribution;
import dev.whence.schemas.avro.AttributionPhase;
import dev.whence.schemas.avro.Escalation;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TargetStageTest {
  private static final Part[] PARTS = {
    document("d", "The cat sat on the mat. The dog ran off. The cat saw the dog. The sun shone. "),
    question("Where is the cat?")
  };
  private static final Topics TOPICS = new Topics("");
  private static final Topic ESCALATIONS = TOPICS.escalations();
  private static final Topic ATTRIBUTIONS = TOPICS.attributions();
  private static final Topic AGREEMENTS = TOPICS.agreements();
  private static final Conversation CONVERSATION = Conversations.of("The mat.", "stop", PARTS);

  private final SimpleMeterRegistry meters = new SimpleMeterRegistry();

  @TempDir private Path directory = Path.of("");

  private RegisteredValues registered;
  private AvroValues values;

  @BeforeEach
  void open() throws Exception {
    registered =
        new RegisteredValues(directory.resolve("registry"), ESCALATIONS, ATTRIBUTIONS, AGREEMENTS);
    values = registered.values;
  }

  @AfterEach
  void close() throws Exception {
    registered.close();
  }

  private static Scorer toy(int window) {
    return toy(window, new ToyTemplate());
  }

  private static Scorer toy(int window, PromptTemplate template) {
    return new ToyTransformer(new ToyTokenizer(ToyTokenizer.LLAMA3, 200), window, 1, template);
  }

  private static AttributionOptions options(MethodOptions method) {
    AttributionOptions of = AttributionOptions.DEFAULT;
    return new AttributionOptions(method, of.granularity(), 0, false, "", OverWindow.DROP_SOURCES);
  }

  /** What the fast path made of it, by splice on the same model, and asks the target for. */
  private SourceRecord escalation(String reason, Conversation conversation, PromptTemplate read) {
    AttributionOptions splice = options(MethodOptions.of(Splice.NAME));
    Attribution fast =
        new AttributionEvents(
                new EventWriter(values, "attribution-fast", "i"), ATTRIBUTIONS.name(), false, false)
            .of(
                conversation,
                new Attributor(toy(2048, read), splice).attribute(conversation),
                new Cause("", 0))
            .setPhase(AttributionPhase.PROVISIONAL)
            .build();
    Escalation escalation =
        Escalation.newBuilder()
            .setResponseId(conversation.responseId())
            .setResponse(LlmResponses.toAvro(conversation))
            .setFast(fast)
            .setReasonCode(reason)
            .setFastScorer("fast")
            .build();
    return new SourceRecord(
        ESCALATIONS.name(),
        0,
        0,
        0,
        conversation.responseId().getBytes(StandardCharsets.UTF_8),
        values.write(ESCALATIONS.name(), escalation),
        List.of());
  }

  private List<Result> results(String reason, int window, MethodOptions method) throws Exception {
    return results(escalation(reason), toy(window), method);
  }

  private List<Result> results(SourceRecord escalation, Scorer target, MethodOptions method)
      throws Exception {
    Budget unbounded = new Budget(new BudgetOptions(0, Duration.ofMinutes(1), 0), System::nanoTime);
    return results(escalation, target, method, unbounded);
  }

  private List<Result> results(
      SourceRecord escalation, Scorer target, MethodOptions method, Budget budget)
      throws Exception {
    ScoringModel model =
        new ScoringModel(
            (choice, beforeWeights) -> new ModelLoader.Loaded(target, () -> 0),
            new ModelSettings(List.of(), ModelSettings.Reload.SWAP),
            options(method),
            Optional.of(Files.createDirectories(directory.resolve("model"))),
            List.of(),
            Optional.empty(),
            meters);
    EventWriter writer = new EventWriter(values, "attribution-target", "i");
    TargetStage stage =
        new TargetStage(
            values,
            new AttributionEvents(writer, ATTRIBUTIONS.name(), false, false),
            writer,
            AGREEMENTS.name(),
            model,
            List::of,
            new AttributionMetrics(meters),
            budget,
            InstantSource.system(),
            1 << 23);
    stage.open();
    try {
      var work = stage.prepare(escalation);
      return ((Outcome.Written) work.run()).results();
    } finally {
      stage.close();
    }
  }

  private Attribution attribution(List<Result> results) throws Exception {
    assertThat(results.get(0).topic()).isEqualTo(ATTRIBUTIONS.name());
    return values.read(results.get(0).value(), Attribution.class, Attribution.getClassSchema());
  }

  @Test
  void aCascadeThatIsDoneIsAMeasureOfTheFastPath() throws Exception {
    List<Result> results = results(FastPath.SHADOW, 2048, MethodOptions.of(Cascade.NAME));
    assertThat(attribution(results).getAgreed()).isNotNull();
    assertThat(results)
        .extracting(Result::topic)
        .containsExactly(ATTRIBUTIONS.name(), AGREEMENTS.name());
  }

  @Test
  void aCascadeThatTheClockEndedMeasuresNothing() throws Exception {
    List<Result> results =
        results(
            FastPath.SHADOW,
            2048,
            MethodOptions.of(Cascade.NAME).withDeadline(Duration.ofNanos(1)));
    Attribution attribution = attribution(results);
    assertThat(attribution.getFlags()).contains(AttributionNote.DEADLINE_REACHED.name());
    // Its scores are those of splice, as the fast path's are: that they agree says nothing.
    assertThat(attribution.getAgreed()).isNull();
    assertThat(results).hasSize(1);
  }

  /** The last sentence owns a line feed, which the target's template trims. */
  @Test
  void aFastPathThatReadsByAnotherTemplateIsMeasuredAllTheSame() throws Exception {
    Conversation conversation =
        Conversations.turns(
            "The mat.",
            document("a", "The cat sat on the mat. The dog ran off.\n"),
            document("b", "The cat saw the dog. The sun shone.\n"),
            question("Where is the cat?"));
    for (boolean lastFirst : new boolean[] {false, true}) {
      List<Result> results =
          results(
              escalation(FastPath.SHADOW, conversation, new VerbatimTemplate(lastFirst)),
              toy(2048),
              exact());
      assertThat(attribution(results).getAgreed()).isNotNull();
      assertThat(results)
          .extracting(Result::topic)
          .containsExactly(ATTRIBUTIONS.name(), AGREEMENTS.name());
    }
  }

  @Test
  void aTargetThatReadsLessOfThePromptLeavesTheFastResult() throws Exception {
    int window = tokens() - 5;
    Attribution attribution = attribution(results("LOW_CONFIDENCE", window, exact()));
    assertThat(attribution.getPhase()).isEqualTo(AttributionPhase.FINAL);
    assertThat(attribution.getReasonCode()).isEqualTo(TargetStage.UNSUPPORTED);
    assertThat(attribution.getReason()).contains("does not read all of the prompt");
    assertThat(attribution.getMethod()).isEqualTo(Splice.NAME);
    assertThat(attribution.getSources()).hasSize(4);
    assertThat(attribution.getRevision()).isEqualTo(1);
  }

  /** The reading of the prompt tells it: no time and none of the budget goes into the scoring. */
  @Test
  void norDoesItSpendAnythingOnThat() throws Exception {
    Budget budget = budget();
    Scorer target = toy(tokens() - 5);
    var unused = results(escalation("LOW_CONFIDENCE"), target, exact(), budget);
    assertThat(spent()).isZero();
    assertThat(budget.allows(/* urgent= */ false)).isTrue();
    unused = results(escalation(FastPath.REQUESTED), target, exact(), budget);
    assertThat(spent()).isPositive();
    assertThat(budget.allows(/* urgent= */ false)).isFalse();
  }

  /** One that any response overdraws, and that fills up by the hour. */
  private static Budget budget() {
    return new Budget(new BudgetOptions(1e-3, Duration.ofSeconds(1), 0), System::nanoTime);
  }

  /** Tokens through the target's model. */
  private double spent() {
    return meters.find("whence.tokens").counters().stream().mapToDouble(Counter::count).sum();
  }

  private SourceRecord escalation(String reason) {
    return escalation(reason, CONVERSATION, new ToyTemplate());
  }

  @Test
  void whoeverAskedForTheTargetGetsWhatItReads() throws Exception {
    Attribution attribution = attribution(results(FastPath.REQUESTED, tokens() - 5, exact()));
    assertThat(attribution.getReasonCode()).isEqualTo(AttributionNote.WINDOWED.name());
    assertThat(attribution.getSources()).hasSizeLessThan(4);
  }

  private static MethodOptions exact() {
    return MethodOptions.DEFAULT;
  }

  private static int tokens() {
    var result =
        new Attributor(toy(2048), options(MethodOptions.of(Splice.NAME))).attribute(CONVERSATION);
    return result.promptTokens() + result.responseTokens();
  }
}
