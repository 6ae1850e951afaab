package dev.whence.attribution;

import static dev.whence.attribution.toy.Conversations.document;
import static dev.whence.attribution.toy.Conversations.instruction;
import static dev.whence.attribution.toy.Conversations.question;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.attribution.toy.Conversations;
import dev.whence.attribution.toy.ToyTokenizer;
import dev.whence.attribution.toy.ToyTransformer;
import dev.whence.conversation.Conversation;
import java.time.Duration;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Splice LOO and the methods that are built on it. */
class SpliceTest {
  private static final List<String> PARAGRAPHS =
      List.of(
          "The cat sat on the mat. The dog ran. It saw 100 birds. The mat was red.",
          "Paris is the capital of France. Berlin is not. So it goes.",
          "It heard some dogs.",
          "In 1999 there were cats. Isn't it so? It is. The end of it was near.");
  private static final Conversation CONVERSATION =
      Conversations.of(
          "The cat. It is on the mat.",
          "stop",
          instruction("Answer.\n\n"),
          document("d", String.join("\n\n", PARAGRAPHS)),
          question("\n\nWhere is the cat?"));
  private static final int FAR = Integer.MAX_VALUE;

  private final ToyTransformer scorer =
      new ToyTransformer(new ToyTokenizer(ToyTokenizer.LLAMA3, 200), 4096, 7);

  private AttributionResult attribute(MethodOptions method) {
    return attribute(method, CONVERSATION);
  }

  private AttributionResult attribute(MethodOptions method, Conversation conversation) {
    return new Attributor(
            scorer, new AttributionOptions(method, Granularity.SENTENCE, 0, false, ""))
        .attribute(conversation);
  }

  private static void same(SourceScore actual, SourceScore expected) {
    assertThat(actual.tau()).isCloseTo(expected.tau(), within(1e-9));
  }

  @Test
  void healingToTheEndIsExactLeaveOneOutAndSaysSo() {
    AttributionResult exact = attribute(MethodOptions.of("exact-loo"));
    AttributionResult splice = attribute(MethodOptions.of("splice").withHeal(FAR));
    assertThat(splice.method()).isEqualTo("splice");
    for (int i = 0; i < exact.sources().size(); i++) {
      same(splice.sources().get(i), exact.sources().get(i));
      assertThat(splice.sources().get(i).exact()).isTrue();
    }
    assertThat(splice.cost().branchTokens()).isEqualTo(exact.cost().branchTokens());
  }

  @Test
  void healingLessIsCloseAndSaysThatItIsNotExact() {
    AttributionResult exact = attribute(MethodOptions.of("exact-loo"));
    AttributionResult splice = attribute(MethodOptions.of("splice").withHeal(2));
    int last = exact.sources().size() - 1;
    for (int i = 0; i < last; i++) {
      SourceScore source = splice.sources().get(i);
      assertThat(source.exact()).isFalse();
      assertThat(source.method()).isEqualTo("splice");
      assertThat(source.context()).isEqualTo("full");
    }
    // Nothing of the context stands after the last source.
    assertThat(splice.sources().get(last).exact()).isTrue();
    same(splice.sources().get(last), exact.sources().get(last));
    assertThat(splice.sources().get(0).tau()).isNotEqualTo(exact.sources().get(0).tau());
    assertThat(splice.logLikelihood()).isEqualTo(exact.logLikelihood());
    assertThat(splice.groundedness().getAsDouble())
        .isCloseTo(exact.groundedness().getAsDouble(), within(1e-9));
  }

  @Test
  void whatItCostsDoesNotDependOnWhereTheSourceStands() {
    AttributionResult splice = attribute(MethodOptions.of("splice").withHeal(3));
    AttributionResult exact = attribute(MethodOptions.of("exact-loo"));
    int n = splice.sources().size();
    // Behind the last source stand question and end of turn; one more branch has no context.
    int tail = splice.promptTokens() - tokens("<s><|user|>Answer.\n\n" + context());
    long each = 3L + tail + splice.responseTokens();
    // A cut may change a token on either side of it, which is computed, too.
    assertThat(splice.cost().branchTokens())
        .isLessThanOrEqualTo((n + 1) * (each + 2))
        .isGreaterThan((n - 1) * each - 3);
    assertThat(splice.cost().branchTokens()).isLessThan(exact.cost().branchTokens() / 2);
    assertThat(estimated(MethodOptions.of("splice").withHeal(3)))
        .isCloseTo(spent(splice), org.assertj.core.data.Percentage.withPercentage(5));
  }

  private static String context() {
    return String.join("\n\n", PARAGRAPHS);
  }

  private int tokens(String text) {
    return scorer.tokenizer().encode(text).length();
  }

  private static long spent(AttributionResult result) {
    return result.cost().trunkTokens() + result.cost().branchTokens();
  }

  private long estimated(MethodOptions method) {
    return new Attributor(
            scorer, new AttributionOptions(method, Granularity.SENTENCE, 0, false, ""))
        .estimate(CONVERSATION)
        .tokens();
  }

  @Test
  void theCascadeScoresTheTopOfTheSpliceExactly() {
    MethodOptions options = MethodOptions.of("cascade").withHeal(1).withExactTop(3);
    AttributionResult cascade = attribute(options);
    AttributionResult splice = attribute(MethodOptions.of("splice").withHeal(1));
    AttributionResult exact = attribute(MethodOptions.of("exact-loo"));
    List<Integer> top =
        IntStream.range(0, splice.sources().size())
            .boxed()
            .sorted(Comparator.comparingDouble(i -> -splice.sources().get(i).tau()))
            .limit(3)
            .toList();
    for (int i = 0; i < exact.sources().size(); i++) {
      SourceScore source = cascade.sources().get(i);
      if (top.contains(i)) {
        same(source, exact.sources().get(i));
        assertThat(source.exact()).isTrue();
      } else {
        assertThat(source).isEqualTo(splice.sources().get(i));
      }
    }
    assertThat(cascade.sources()).anyMatch(source -> source.method().equals("exact-loo"));
    assertThat(spent(cascade)).isLessThan(spent(exact));
    assertThat(estimated(options)).isGreaterThanOrEqualTo(spent(cascade));
    assertThat(scorer.trunksOpen).isZero();
  }

  @Test
  void aDeadlineEndsTheSecondScoringAndEachSourceSaysWhatItIs() {
    MethodOptions cascade = MethodOptions.of("cascade").withHeal(1).withExactTop(4);
    AttributionResult inTime = attribute(cascade.withDeadline(Duration.ofHours(1)));
    AttributionResult late = attribute(cascade.withDeadline(Duration.ofNanos(1)));
    AttributionResult splice = attribute(MethodOptions.of("splice").withHeal(1));
    assertThat(inTime.flags()).doesNotContain("DEADLINE_REACHED");
    List<Double> expected = taus(attribute(cascade));
    for (int i = 0; i < expected.size(); i++) {
      assertThat(inTime.sources().get(i).tau()).isCloseTo(expected.get(i), within(1e-9));
    }
    assertThat(late.flags()).contains("DEADLINE_REACHED");
    assertThat(late.sources()).isEqualTo(splice.sources());
    assertThatThrownBy(() -> MethodOptions.of("splice").withDeadline(Duration.ofSeconds(1)))
        .hasMessageContaining("only the method cascade can be ended by a deadline");
  }

  @Test
  void afterADeadlineNoGroupsAreScoredAndTheResultSaysSo() {
    Conversation twice =
        Conversations.of(
            "The cat.",
            "stop",
            document("d", "The cat sat on the mat. The dog ran. The cat sat on the mat. It saw."),
            question("\n\nWhere is the cat?"));
    MethodOptions cascade = MethodOptions.of("cascade").withHeal(1).withExactTop(1);
    AttributionResult whole = attribute(cascade, twice);
    AttributionResult inTime = attribute(cascade.withDeadline(Duration.ofHours(1)), twice);
    AttributionResult late = attribute(cascade.withDeadline(Duration.ofNanos(1)), twice);
    assertThat(whole.groups()).hasSize(1);
    assertThat(inTime.groups()).hasSize(1);
    assertThat(inTime.groups().get(0).tau()).isCloseTo(whole.groups().get(0).tau(), within(1e-9));
    assertThat(inTime.flags()).doesNotContain("GROUPS_NOT_SCORED");
    assertThat(late.groups()).isEmpty();
    assertThat(late.flags()).contains("DEADLINE_REACHED", "GROUPS_NOT_SCORED");
    assertThat(late.groundedness().getAsDouble())
        .isCloseTo(whole.groundedness().getAsDouble(), within(1e-9));
  }

  private static List<Double> taus(AttributionResult result) {
    return result.sources().stream().map(SourceScore::tau).toList();
  }

  @Test
  void paragraphsFirstScoresTheSentencesOfTheBestOnly() {
    MethodOptions options = MethodOptions.of("paragraph-splice").withHeal(2).withKeepParagraphs(1);
    AttributionResult result = attribute(options);
    AttributionResult splice = attribute(MethodOptions.of("splice").withHeal(2));
    List<SourceScore> scored =
        result.sources().stream().filter(source -> source.method().equals("splice")).toList();
    assertThat(scored).isNotEmpty();
    assertThat(
            PARAGRAPHS.stream()
                .filter(p -> scored.stream().allMatch(s -> p.contains(s.text().strip()))))
        .hasSize(1);
    for (int i = 0; i < result.sources().size(); i++) {
      SourceScore source = result.sources().get(i);
      if (source.method().equals("splice")) {
        same(source, splice.sources().get(i));
      } else if (source.method().equals("paragraph-splice-paragraph")) {
        assertThat(source.exact()).isFalse();
      } else {
        assertThat(source.text()).isEqualTo(PARAGRAPHS.get(2));
      }
    }
    // What a paragraph did is shared out among its sentences.
    List<SourceScore> second =
        result.sources().stream()
            .filter(source -> PARAGRAPHS.get(1).contains(source.text().strip()))
            .toList();
    assertThat(second).hasSize(3);
    assertThat(second.stream().map(SourceScore::tau).distinct()).hasSize(1);
    assertThat(spent(result)).isLessThan(spent(splice));
  }

  @Test
  void allParagraphsKeptIsSpliceOfEverySource() {
    AttributionResult result =
        attribute(MethodOptions.of("paragraph-splice").withKeepParagraphs(4));
    AttributionResult splice = attribute(MethodOptions.of("splice"));
    for (int i = 0; i < result.sources().size(); i++) {
      same(result.sources().get(i), splice.sources().get(i));
    }
  }

  @Test
  void dialsOutOfRangeAreRefused() {
    assertThatThrownBy(() -> MethodOptions.of("splice").withHeal(-1)).hasMessageContaining("heal");
    assertThatThrownBy(() -> MethodOptions.of("cascade").withExactTop(0))
        .hasMessageContaining("exactTop");
    assertThatThrownBy(() -> attribute(MethodOptions.of("gradient")))
        .hasMessageContaining("'gradient' is not one of exact-loo");
  }
}
