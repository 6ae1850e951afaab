package dev.whence.attribution;

import static dev.whence.attribution.toy.Conversations.document;
import static dev.whence.attribution.toy.Conversations.instruction;
import static dev.whence.attribution.toy.Conversations.question;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.attribution.toy.Conversations;
import dev.whence.attribution.toy.ToyTokenizer;
import dev.whence.attribution.toy.ToyTransformer;
import dev.whence.conversation.Conversation;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class HierarchicalTest {
  private static final List<String> PARAGRAPHS =
      List.of(
          "The cat sat on the mat. The dog ran.",
          "Paris is the capital of France. Berlin is not.",
          "It saw 100 birds.",
          "In 1999 there were cats. Isn't it so? It is.");
  private static final String CONTEXT = String.join("\n\n", PARAGRAPHS);
  private static final String ANSWER = "The cat. It is on the mat.";
  private static final Conversation CONVERSATION = about(CONTEXT);

  private final ToyTransformer scorer =
      new ToyTransformer(new ToyTokenizer(ToyTokenizer.LLAMA3, 200), 4096, 11);

  private static Conversation about(String context) {
    return Conversations.of(
        ANSWER,
        "stop",
        instruction("Answer."),
        document("d", context),
        question("\n\nWhere is it?"));
  }

  private AttributionResult attribute(
      String method, Granularity granularity, int keep, Conversation conversation) {
    return new Attributor(
            scorer,
            new AttributionOptions(
                MethodOptions.of(method).withKeepParagraphs(keep), granularity, 0, false, ""))
        .attribute(conversation);
  }

  /** Exact LOO of the paragraphs, by the reference method. */
  private List<Double> paragraphTaus() {
    return attribute("naive-loo", Granularity.PARAGRAPH, 1, CONVERSATION).sources().stream()
        .map(SourceScore::tau)
        .toList();
  }

  @Test
  void sourcesOfTheBestParagraphAreScoredInThePromptWithoutTheOthers() {
    List<Double> taus = paragraphTaus();
    // The best paragraph among those with several sentences is kept together with all better ones.
    List<Integer> ranking =
        IntStream.range(0, 4)
            .boxed()
            .sorted(Comparator.comparingDouble(p -> -taus.get(p)))
            .toList();
    int keep = ranking.get(0) == 2 ? 2 : 1;
    int best = ranking.get(keep - 1);
    AttributionResult result = attribute("hierarchical", Granularity.SENTENCE, keep, CONVERSATION);

    String pruned =
        IntStream.range(0, 4)
            .mapToObj(p -> ranking.indexOf(p) < keep ? PARAGRAPHS.get(p) : "")
            .reduce((a, b) -> a + "\n\n" + b)
            .orElseThrow();
    AttributionResult reference = attribute("naive-loo", Granularity.SENTENCE, 1, about(pruned));
    List<SourceScore> refined =
        result.sources().stream().filter(s -> s.context().equals("pruned")).toList();
    assertThat(refined).isNotEmpty();
    for (SourceScore source : refined) {
      assertThat(PARAGRAPHS.get(best)).contains(source.text().strip());
      assertThat(source.exact()).isFalse();
      double expected =
          reference.sources().stream()
              .filter(s -> s.text().equals(source.text()))
              .findFirst()
              .orElseThrow()
              .tau();
      assertThat(source.tau()).isCloseTo(expected, within(1e-9));
    }
  }

  @Test
  void sourcesOfDroppedParagraphsShareTheirParagraphsScoreAndSaySo() {
    List<Double> taus = paragraphTaus();
    AttributionResult result = attribute("hierarchical", Granularity.SENTENCE, 1, CONVERSATION);
    for (int p = 0; p < 4; p++) {
      String paragraph = PARAGRAPHS.get(p);
      List<SourceScore> members =
          result.sources().stream().filter(s -> paragraph.contains(s.text().strip())).toList();
      if (members.get(0).context().equals("full")) {
        assertThat(members.stream().mapToDouble(SourceScore::tau).sum())
            .isCloseTo(taus.get(p), within(1e-9));
        for (SourceScore member : members) {
          assertThat(member.tau()).isCloseTo(taus.get(p) / members.size(), within(1e-9));
          assertThat(member.exact()).isEqualTo(members.size() == 1);
          assertThat(member.method())
              .isEqualTo(members.size() == 1 ? "hierarchical" : "hierarchical-paragraph");
        }
      }
    }
    assertThat(result.sources()).anyMatch(s -> s.method().equals("hierarchical-paragraph"));
  }

  @Test
  void withAllParagraphsKeptItIsExactLeaveOneOut() {
    AttributionResult hierarchical =
        attribute("hierarchical", Granularity.SENTENCE, 4, CONVERSATION);
    AttributionResult naive = attribute("naive-loo", Granularity.SENTENCE, 4, CONVERSATION);
    for (int i = 0; i < naive.sources().size(); i++) {
      assertThat(hierarchical.sources().get(i).tau())
          .isCloseTo(naive.sources().get(i).tau(), within(1e-9));
      assertThat(hierarchical.sources().get(i).exact()).isTrue();
      assertThat(hierarchical.sources().get(i).context()).isEqualTo("full");
    }
  }

  @Test
  void logLikelihoodsAreThoseOfTheFullPromptAndRowsSumToTau() {
    AttributionResult result = attribute("hierarchical", Granularity.SENTENCE, 1, CONVERSATION);
    AttributionResult exact = attribute("exact-loo", Granularity.SENTENCE, 1, CONVERSATION);
    assertThat(result.logLikelihood().getAsDouble())
        .isCloseTo(exact.logLikelihood().getAsDouble(), within(1e-9));
    assertThat(result.groundedness().getAsDouble())
        .isCloseTo(exact.groundedness().getAsDouble(), within(1e-9));
    for (int i = 0; i < result.sources().size(); i++) {
      assertThat(result.matrix().get(i).stream().mapToDouble(Double::doubleValue).sum())
          .isCloseTo(result.sources().get(i).tau(), within(1e-12));
    }
    assertThat(scorer.trunksOpen).isZero();
  }

  @Test
  void itCostsLessThanExactOnManyParagraphsAndTheEstimateSaysHowMuch() {
    Conversation many = about("The cat sat. It ran. The dog saw it. So did I.\n\n".repeat(30));
    AttributionOptions options =
        new AttributionOptions(
            MethodOptions.of("hierarchical").withKeepParagraphs(2),
            Granularity.SENTENCE,
            0,
            false,
            "");
    Attributor attributor = new Attributor(new CountingScorer(scorer), options);
    AttributionResult result = attributor.attribute(many);
    long spent = result.cost().trunkTokens() + result.cost().branchTokens();
    int sentences = 4 * 30;
    long exact = (long) sentences * result.promptTokens() / 2;
    assertThat(spent).isLessThan(exact / 2);
    assertThat(attributor.estimate(many).tokens())
        .isBetween(Math.round(0.9 * spent), Math.round(1.1 * spent));
  }
}
