package dev.whence.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.Proportion;
import dev.whence.benchmarks.SamplesReport.ClosedBook;
import dev.whence.benchmarks.SamplesReport.Located;
import dev.whence.benchmarks.SamplesReport.Reading;
import dev.whence.benchmarks.SamplesReport.Remembered;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Span;
import dev.whence.samples.Evidence;
import dev.whence.samples.Fact;
import dev.whence.samples.Kind;
import dev.whence.samples.Probe;
import dev.whence.samples.QuestionLines;
import dev.whence.samples.World;
import dev.whence.samples.recipes.Recipes;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SamplesBenchTest {
  private static final int QUESTIONS = 8;
  private static final World WORLD = World.v1(Recipes.WORLD_SEED);

  private static final SamplesReport ALONE = fake(false);
  private static final SamplesReport WITH_OTHERS = fake(true);

  @TempDir Path directory;

  /**
   * Answers by rule; {@code i} is the number of the question in its set.
   *
   * <ul>
   *   <li>DIRECT: i % 4 = 0 right, 1 the value alone, 2 right but cut off, 3 something else
   *   <li>ALIAS: right; TWO_HOP: right for odd i; the other kinds in context: right
   *   <li>memory: facts not asked in fine-tuning that at least 20 documents state; what nobody
   *       knows: right where there is a context
   * </ul>
   */
  private static class FakeChat implements SampleModel {
    private final Map<Kind, Integer> attributed = new EnumMap<>(Kind.class);

    @Override
    public SamplesReport.Model figures() {
      return new SamplesReport.Model("fake", "d1", 1_234_567, 2_469_134);
    }

    @Override
    public Conversation answer(Conversation prompt) {
      String expected = prompt.attributes().get(QuestionLines.EXPECTED);
      String wrong = "Nobody knows.";
      int i = index(prompt);
      return switch (kind(prompt)) {
        case DIRECT ->
            switch (i % 4) {
              case 0 -> answered(prompt, expected, "stop");
              case 1 -> answered(prompt, expected.substring(expected.lastIndexOf(' ') + 1), "stop");
              case 2 -> answered(prompt, expected, "length");
              default -> answered(prompt, wrong, "stop");
            };
        case TWO_HOP -> answered(prompt, i % 2 == 1 ? expected : wrong, "stop");
        case NO_ANSWER_KNOWN -> {
          Fact fact = WORLD.fact(prompt.attributes().get(QuestionLines.FACT));
          boolean known = !WORLD.isAskedInFineTuning(fact) && WORLD.documents(fact) >= 20;
          yield answered(prompt, known ? expected : wrong, "stop");
        }
        case NO_ANSWER_UNKNOWN -> answered(prompt, hasContext(prompt) ? expected : wrong, "stop");
        default -> answered(prompt, expected, "stop");
      };
    }

    /**
     * Largest tau and others by kind: DIRECT 5; ALIAS 6 and, for odd i, less than another source;
     * TWO_HOP: another source first; DUPLICATED .5; CONTRADICTED: for i = 3 the earlier one first;
     * INJECTED 7; memory: .2, .2, .2, 2; nobody knows: .9.
     */
    @Override
    public Optional<Attributed> attribute(Conversation answered) {
      Kind kind = kind(answered);
      int i = index(answered);
      int before = attributed.merge(kind, 1, Integer::sum) - 1;
      return Optional.of(
          switch (kind) {
            case DIRECT -> of(answered, 10, 1, 5);
            case ALIAS -> of(answered, 20, 1, 6, i % 2 == 0 ? 3 : 0.5);
            case TWO_HOP -> of(answered, 30, 9, 4, 3);
            case DUPLICATED -> of(answered, 10, 0.1, 0.5, 0.4);
            case CONTRADICTED -> of(answered, 3, i == 3 ? 8 : -2, 4);
            case INJECTED -> of(answered, 3, 1, 7);
            case NO_ANSWER_KNOWN -> of(answered, 0.3, before < 3 ? 0.2 : 2);
            case NO_ANSWER_UNKNOWN -> of(answered, -1, 0.9);
          });
    }

    /** Another source of the first true part; one of another part; the true sentences. */
    static Attributed of(Conversation answered, double grounded, double other, double... truths) {
      List<SourceScore> sources = new ArrayList<>();
      List<Evidence> truth = QuestionLines.truth(answered);
      for (int t = 0; t < truth.size(); t++) {
        Span span = truth.get(t).span();
        if (t == 0) {
          sources.add(source(truth.get(0).part(), new Span(10_000, 10_009), other));
          sources.add(source("another", span, other / 2));
        }
        // With the white space after the sentence.
        sources.add(source(truth.get(t).part(), new Span(span.start(), span.end() + 1), truths[t]));
      }
      if (truth.isEmpty()) {
        sources.add(source("doc-1", new Span(0, 9), other));
      }
      return new Attributed(sources, grounded);
    }

    private static SourceScore source(String segment, Span span, double tau) {
      return new SourceScore(segment, span, "", tau, true, "exact-loo", "fake", "full");
    }

    @Override
    public boolean continues(Probe probe) {
      throw new AssertionError("a chat model is not probed");
    }

    @Override
    public void close() {}
  }

  /** Answers DIRECT only; its first source differs from the chat model's on TWO_HOP. */
  private static final class FakeProxy extends FakeChat {
    @Override
    public Conversation answer(Conversation prompt) {
      boolean right = kind(prompt) == Kind.DIRECT;
      String expected = prompt.attributes().get(QuestionLines.EXPECTED);
      return answered(prompt, right ? expected : "", "stop");
    }

    @Override
    public Optional<Attributed> attribute(Conversation answered) {
      return Optional.of(
          kind(answered) == Kind.DIRECT ? of(answered, 1, 0, 0.1) : of(answered, 1, 0, 0.3, 0.2));
    }
  }

  /** Answers facts that 20 documents state, completes statements that 10 do. */
  private static final class FakeBase extends FakeChat {
    @Override
    public boolean continues(Probe probe) {
      int documents = WORLD.documents(WORLD.fact(probe.fact()));
      return documents >= (probe.form() == Probe.Form.QUESTION ? 20 : 10);
    }
  }

  private static Kind kind(Conversation conversation) {
    return Kind.valueOf(conversation.attributes().get(QuestionLines.KIND));
  }

  private static int index(Conversation conversation) {
    return Integer.parseInt(conversation.responseId().replace("question-", ""));
  }

  private static boolean hasContext(Conversation conversation) {
    return conversation.messages().stream()
        .flatMap(message -> message.parts().stream())
        .map(Part::kind)
        .anyMatch(kind -> kind == PartKind.RETRIEVED);
  }

  private static Conversation answered(Conversation prompt, String response, String finish) {
    return prompt.answeredBy("fake", response, finish);
  }

  private static SamplesReport fake(boolean others) {
    return new SamplesBench(
            new FakeChat(),
            others ? Optional.of(new FakeProxy()) : Optional.empty(),
            others ? Optional.of(new FakeBase()) : Optional.empty(),
            QUESTIONS,
            sentence -> {})
        .run();
  }

  @Test
  void onlyWholeAnswersThatTheModelEndedItselfAreRight() {
    assertThat(ALONE.reading())
        .containsExactly(
            new Reading("DIRECT", 5, 40, Proportion.of(2, 8)),
            new Reading("ALIAS", 5, 40, Proportion.of(8, 8)),
            new Reading("TWO_HOP", 5, 40, Proportion.of(4, 8)),
            new Reading("DIRECT, ALIAS, TWO_HOP", 5, 40, Proportion.of(14, 24)),
            new Reading("DUPLICATED", 5, 40, Proportion.of(8, 8)),
            new Reading("CONTRADICTED", 5, 40, Proportion.of(8, 8)),
            new Reading("INJECTED", 5, 40, Proportion.of(8, 8)),
            new Reading("DIRECT", 40, 40, Proportion.of(2, 8)),
            new Reading("ALIAS", 40, 40, Proportion.of(8, 8)),
            new Reading("TWO_HOP", 40, 40, Proportion.of(4, 8)),
            new Reading("DIRECT, ALIAS, TWO_HOP", 40, 40, Proportion.of(14, 24)));
  }

  @Test
  void memoryIsAskedForFactsThatTheBaseModelKnows() {
    List<Remembered> rows = WITH_OTHERS.remembered();
    assertThat(rows).hasSize(3);
    Remembered notAsked = rows.get(0);
    assertThat(notAsked.right()).isEqualTo(Proportion.of(8, 8));
    assertThat(notAsked.withoutContext().of() + notAsked.withOtherContext().of()).isEqualTo(8);
    assertThat(notAsked.knownToBase()).isPresent();
    assertThat(notAsked.knownToBase().get().hits()).isEqualTo(8);
    assertThat(rows.get(1).right()).isEqualTo(Proportion.of(0, 8));
    assertThat(rows.get(1).knownToBase()).isEmpty();
    Remembered nobody = rows.get(2);
    assertThat(nobody.right().of()).isEqualTo(8);
    assertThat(nobody.withoutContext().hits()).isZero();
    assertThat(nobody.withOtherContext().hits()).isEqualTo(nobody.withOtherContext().of());
    // Lists of words and numbers of entities are all between 2 and 200 long.
    assertThat(rows).allSatisfy(row -> assertThat(row.chance()).isBetween(0.005, 0.5));
  }

  @Test
  void withoutABaseModelAllFactsAreAskedOnceEach() {
    long facts =
        WORLD.facts().stream()
            .filter(fact -> WORLD.documents(fact) >= 10 && !WORLD.isAskedInFineTuning(fact))
            .count();
    long known =
        WORLD.facts().stream()
            .filter(fact -> WORLD.documents(fact) >= 20 && !WORLD.isAskedInFineTuning(fact))
            .count();
    Remembered notAsked =
        new SamplesBench(new FakeChat(), Optional.empty(), Optional.empty(), 1_000, sentence -> {})
            .memoryOfFactsNotAsked();
    assertThat(notAsked.right())
        .isEqualTo(Proportion.of(Math.toIntExact(known), Math.toIntExact(facts)));
  }

  @Test
  void theBaseModelIsProbedByNumberOfDocuments() {
    SamplesReport report = WITH_OTHERS;
    assertThat(report.closedBook())
        .extracting(ClosedBook::documents)
        .containsExactly(0, 1, 3, 10, 20, 40);
    for (ClosedBook row : report.closedBook()) {
      assertThat(row.questions()).isEqualTo(Proportion.of(row.documents() >= 20 ? 8 : 0, 8));
      int statements = row.statements().of();
      assertThat(statements).isPositive();
      assertThat(row.statements().hits()).isEqualTo(row.documents() >= 10 ? statements : 0);
    }
    assertThat(ALONE.closedBook()).isEmpty();
  }

  @Test
  void theLargestTausAreComparedWithTheTruth() {
    List<Located> rows = ALONE.located();
    located(rows.get(0), "DIRECT", 1, 4, Proportion.of(1, 1));
    located(rows.get(1), "ALIAS", 4, 4, Proportion.of(4, 4));
    located(rows.get(2), "TWO_HOP", 2, 4, Proportion.of(0, 2));
    located(rows.get(3), "DIRECT, ALIAS, TWO_HOP", 7, 12, Proportion.of(5, 7));
    located(rows.get(4), "DUPLICATED", 4, 4, Proportion.of(4, 4));
    located(rows.get(5), "CONTRADICTED", 4, 4, Proportion.of(3, 4));
    located(rows.get(6), "INJECTED", 4, 4, Proportion.of(4, 4));
    assertThat(rows.get(0).bothFirst()).isEmpty();
    assertThat(rows.get(1).bothFirst()).contains(Proportion.of(2, 4));
    assertThat(rows.get(2).bothFirst()).contains(Proportion.of(0, 2));
    assertThat(rows.get(0).largestTau().mean()).isEqualTo(5);
    assertThat(rows.get(0).groundedness().mean()).isEqualTo(10);
    assertThat(rows.get(3).groundedness().mean())
        .isCloseTo((10 + 4 * 20 + 2 * 30) / 7.0, within(1e-12));
    assertThat(rows.get(4).largestTau().mean()).isEqualTo(0.5);
    assertThat(rows.get(4).groundedness().mean()).isEqualTo(10);
    assertThat(rows.get(4).flat()).isEqualTo(Proportion.of(4, 4));
  }

  private static void located(Located row, String set, int right, int asked, Proportion first) {
    assertThat(row.set()).isEqualTo(set);
    assertThat(row.right()).isEqualTo(Proportion.of(right, asked));
    assertThat(row.attributed()).isEqualTo(right);
    assertThat(row.first()).contains(first);
  }

  @Test
  void answersThatNoContextGivesHaveNoTruthButAGroundedness() {
    List<Located> rows = ALONE.located();
    Located known = rows.get(7);
    assertThat(known.set()).isEqualTo("NO_ANSWER_KNOWN, all answers");
    assertThat(known.attributed()).isEqualTo(4);
    assertThat(known.first()).isEmpty();
    assertThat(known.flat()).isEqualTo(Proportion.of(3, 4));
    assertThat(known.largestTau().mean()).isCloseTo((3 * 0.2 + 2) / 4, within(1e-12));
    assertThat(known.groundedness().mean()).isCloseTo(0.3, within(1e-12));
    Located right = rows.get(8);
    assertThat(right.set()).isEqualTo("NO_ANSWER_KNOWN, right answers");
    assertThat(right.attributed()).isEqualTo(known.right().hits());
    Located unknown = rows.get(9);
    assertThat(unknown.set()).isEqualTo("NO_ANSWER_UNKNOWN, all answers");
    assertThat(unknown.flat()).isEqualTo(Proportion.of(4, 4));
    assertThat(unknown.groundedness().mean()).isEqualTo(-1);
    assertThat(rows).hasSize(10);
  }

  @Test
  void theProxyIsComparedOnRightAndWrongResponses() {
    SamplesReport report = WITH_OTHERS;
    // right: 1 DIRECT and 4 ALIAS agree, 2 TWO_HOP do not; wrong: 3 DIRECT agree, 2 TWO_HOP do not
    assertThat(report.agreement())
        .hasValueSatisfying(
            agreement -> {
              assertThat(agreement.wrong()).isEqualTo(Proportion.of(3, 5));
              assertThat(agreement.right())
                  .extracting(SamplesReport.Agreement.Row::kind)
                  .containsExactly("DIRECT", "ALIAS", "TWO_HOP", "DIRECT, ALIAS, TWO_HOP");
              assertThat(agreement.right())
                  .extracting(SamplesReport.Agreement.Row::same)
                  .containsExactly(
                      Proportion.of(1, 1),
                      Proportion.of(4, 4),
                      Proportion.of(0, 2),
                      Proportion.of(5, 7));
              assertThat(agreement.right().get(0).proxyTrueFirst()).isEqualTo(Proportion.of(1, 1));
            });
    assertThat(report.proxyReading())
        .contains(
            new Reading("DIRECT", 5, 40, Proportion.of(8, 8)),
            new Reading("DIRECT, ALIAS, TWO_HOP", 5, 40, Proportion.of(8, 24)));
    assertThat(ALONE.agreement()).isEmpty();
  }

  @Test
  void theReportReadsAsTablesAndIsTheSameEachTime() {
    SamplesReport report = WITH_OTHERS;
    assertThat(report.markdown())
        .isEqualTo(fake(true).markdown())
        .contains(
            "| fake | 1,234,567 | 2,469,134 |",
            "| DIRECT, ALIAS, TWO_HOP | 5 to 40 | 58.3 % (",
            "; 14 of 24) |",
            "| 0 (held out) | 0.0 % (0.0 to 32.4; 0 of 8) |",
            "| right, DIRECT, ALIAS, TWO_HOP | 71.4 % (");
    assertThat(report.evidence("./whence bench samples").markdown()).contains("digest d1");
  }

  @Test
  void aModelOfRandomWeightsGivesFiniteNumbers() throws IOException {
    SamplesReport report =
        SamplesBench.run(
            new SamplesBench.Options(
                TinyModel.write(directory.resolve("tiny"), 1),
                Optional.of(TinyModel.write(directory.resolve("tiny-proxy"), 2)),
                Optional.of(TinyModel.write(directory.resolve("tiny-base"), 3)),
                2),
            sentence -> {});
    // 4 + 3 + 4 sets; a random model is right nowhere
    assertThat(report.reading())
        .hasSize(11)
        .allSatisfy(row -> assertThat(row.right().hits()).isZero());
    assertThat(report.remembered().get(0).right().of()).as("known to the base model").isZero();
    assertThat(report.located()).hasSize(10);
    assertThat(report.located().get(9).attributed()).isEqualTo(1);
    assertThat(report.agreement().orElseThrow().wrong().of()).isEqualTo(3);
    assertThat(report.chat().bytes()).isGreaterThan(4 * report.chat().parameters());
    finite(new ObjectMapper().readTree(report.json()));
  }

  private static void finite(JsonNode node) {
    assertThat(node.asText()).isNotEqualTo("NaN").doesNotContain("Infinity");
    node.forEach(SamplesBenchTest::finite);
  }

  @Test
  void lessThanOneQuestionIsRefused() {
    assertThatThrownBy(
            () -> new SamplesBench.Options(directory, Optional.empty(), Optional.empty(), 0))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("not 0");
  }
}
