package dev.whence.quickstart;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.whence.conversation.Conversation;
import dev.whence.quickstart.view.InfluenceLines;
import dev.whence.quickstart.view.LiveView;
import dev.whence.quickstart.view.Terminal;
import dev.whence.samples.BundledModels;
import dev.whence.samples.Document;
import dev.whence.samples.Fact;
import dev.whence.samples.Question;
import dev.whence.samples.Questions;
import dev.whence.samples.recipes.Recipe;
import dev.whence.samples.recipes.Recipes;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.Attribution;
import dev.whence.schemas.avro.AttributionPhase;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * The scene of influence on real topics, with the two smallest models, whose index takes seconds.
 */
@Timeout(value = 3, unit = TimeUnit.MINUTES)
class InfluenceSceneIT {
  private static final Pattern SUMMARY =
      Pattern.compile(
          "influence +([0-9]+) of these ([0-9]+) state it \\(of all documents ([0-9]+) do\\);"
              + " ([0-9,]+) of ([0-9,]+) documents searched");

  @TempDir Path directory;
  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final Topics topics = new Topics(Topics.DEFAULT_PREFIX);
  private final Recipe base = Recipes.named("tiny-base").orElseThrow();
  private final Recipe chat = Recipes.named("tiny-chat").orElseThrow();
  private final List<Document> documents = Recipes.documents(base);
  private int conversations;

  @Test
  void theFirstRightAnswerFromMemoryIsTracedToDocumentsAndTheNextStartHasTheirIndex()
      throws Exception {
    Fact fact = statedFact();
    long stating =
        documents.stream()
            .filter(document -> document.facts().stream().anyMatch(s -> s.fact().equals(fact.id())))
            .count();
    try (EmbeddedCluster cluster = EmbeddedCluster.open(options(), topics)) {
      try (InfluenceScene scene = scene(cluster)) {
        scene.shown(1, answered(fact, "Nobody knows."), attribution());
        scene.shown(2, answered(fact, expected(fact)), attribution());
        assertThat(scene.cutShort())
            .hasValueSatisfying(line -> assertThat(line).contains("begins after"));
        scene.shown(3, answered(fact, expected(fact)), attribution());
        await().atMost(Duration.ofMinutes(2)).until(() -> ended(scene));
      }
      String first = output();
      assertThat(first)
          .contains("being computed beside the traffic, once, in a few minutes")
          .contains("answer #2, \"" + expected(fact) + "\", is right");
      Matcher summary = SUMMARY.matcher(first);
      assertThat(summary.find()).as(first).isTrue();
      List<String> rows = first.lines().filter(line -> line.matches(" {17} ?[0-9]+  .*")).toList();
      List<String> marked = rows.stream().filter(row -> row.contains("✓")).toList();
      assertThat(rows).hasSize(Integer.parseInt(summary.group(2))).hasSizeBetween(1, 10);
      assertThat(marked).hasSize(Integer.parseInt(summary.group(1)));
      assertThat(Long.parseLong(summary.group(3))).isEqualTo(stating);
      assertThat(summary.group(4)).isEqualTo(Integer.toString(documents.size()));
      assertThat(summary.group(5)).isEqualTo(Integer.toString(documents.size()));

      out.reset();
      try (InfluenceScene scene = scene(cluster)) {
        for (int number = 1; number <= 3; number++) {
          scene.shown(number, answered(fact, expected(fact)), attribution());
        }
        await().atMost(Duration.ofMinutes(1)).until(() -> ended(scene));
      }
      assertThat(output())
          .doesNotContain("being computed")
          .contains("is right")
          .contains("state it");
      assertThat(output().lines().filter(line -> line.matches(" {17} ?[0-9]+  .*")))
          .containsExactlyElementsOf(rows);
    }
  }

  private static boolean ended(InfluenceScene scene) throws Exception {
    scene.check();
    return scene.cutShort().isEmpty();
  }

  private InfluenceScene scene(EmbeddedCluster cluster) throws IOException {
    Terminal terminal = Terminal.plain(new PrintStream(out, true, StandardCharsets.UTF_8));
    return new InfluenceScene(
        cluster.connection(),
        topics,
        directory.resolve("data"),
        new LiveView(terminal, Clock.systemUTC()),
        new InfluenceLines(terminal),
        new InfluenceScene.Stages(
            base, BundledModels.unpack(base.name()), chat, BundledModels.unpack(chat.name()), 60));
  }

  private Fact statedFact() {
    return base.world().get().facts().stream()
        .filter(
            fact ->
                documents.stream()
                    .anyMatch(
                        one -> one.facts().stream().anyMatch(s -> s.fact().equals(fact.id()))))
        .findFirst()
        .orElseThrow();
  }

  private static String expected(Fact fact) {
    return Questions.withoutContext(fact, 0).response();
  }

  private Conversation answered(Fact fact, String response) {
    Question question = Questions.withoutContext(fact, 0);
    Conversation asked = question.conversation();
    return Conversation.builder("r-" + ++conversations)
        .model(chat.name())
        .messages(asked.messages())
        .response(response)
        .finishReason("stop")
        .attributes(asked.attributes())
        .build();
  }

  private static Attribution attribution() {
    return Attribution.newBuilder().setResponseId("r").setPhase(AttributionPhase.FINAL).build();
  }

  private QuickstartOptions options() {
    return new QuickstartOptions(
        Optional.empty(),
        Optional.empty(),
        OptionalInt.empty(),
        OptionalDouble.empty(),
        directory.resolve("data"),
        false,
        0,
        0,
        "fp32",
        "cpu");
  }

  private String output() {
    return out.toString(StandardCharsets.UTF_8);
  }
}
