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
import dev.whence.conversation.Part;
import dev.whence.conversation.Span;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class ContextCiteTest {
  private final ToyTransformer scorer =
      new ToyTransformer(new ToyTokenizer(ToyTokenizer.LLAMA3, 200), 4096, 7);

  private AttributionResult attribute(MethodOptions method, String context, String response) {
    Conversation conversation =
        Conversations.of(
            response,
            "stop",
            instruction("Answer.\n\n"),
            document("d", context),
            question("\n\nWhere is the cat?"));
    return new Attributor(
            scorer, new AttributionOptions(method, Granularity.SENTENCE, 0, false, ""))
        .attribute(conversation);
  }

  /** With one source the surrogate has two points: what it changes is the weight, but for alpha. */
  @Test
  void aSingleSourceGetsTheDifferenceOfTheLogits() {
    AttributionResult cited =
        attribute(MethodOptions.of("contextcite").withMasks(64, 5), "The cat sat.", "On the mat.");
    double with = cited.logLikelihood().getAsDouble();
    double without = cited.logLikelihoodWithoutContext().getAsDouble();
    double difference = logit(with) - logit(without);
    double score = cited.sources().get(0).tau();
    // alpha = 0.01 on the standardised mask, per token: at most 0.01 / 0.4 of each token
    double shrunk = 0.01 / 0.4 * cited.responseTokens();
    assertThat(Math.abs(difference)).isGreaterThan(shrunk);
    assertThat(score).isCloseTo(difference, within(shrunk));
    assertThat(cited.sources().get(0).method()).isEqualTo("contextcite");
    assertThat(cited.flags()).contains("SCORES_RANK_ONLY");
    assertThat(cited.sources().get(0).exact()).isFalse();
  }

  /** A mask of what no prompt shows would be noise for the surrogate to fit. */
  @Test
  void whatTheTemplateTrimsAwayHasNoWeight() {
    String blank = "   ";
    List<Part> parts = new ArrayList<>();
    parts.add(document("blank", blank, new Span(0, 1), new Span(1, 2), new Span(2, 3)));
    parts.add(document("d", "The cat sat. The dog ran.", new Span(0, 13), new Span(13, 25)));
    for (int masks : new int[] {4, 8, 16}) {
      AttributionResult cited =
          new Attributor(
                  scorer,
                  new AttributionOptions(
                      MethodOptions.of("contextcite").withMasks(masks, 3),
                      Granularity.SENTENCE,
                      0,
                      false,
                      ""))
              .attribute(Conversations.of("On the mat.", "stop", parts.toArray(Part[]::new)));
      assertThat(cited.sources().subList(0, 3)).allMatch(source -> source.tau() == 0);
      assertThat(cited.sources().subList(3, 5)).anyMatch(source -> source.tau() != 0);
    }
  }

  private static double logit(double l) {
    return l - Math.log(1 - Math.exp(l));
  }

  @Test
  void rowsOfTheMatrixSumToTheScoreAndTheSeedDecides() {
    String context = "The cat sat. The dog ran. It saw 100 birds. So did I. We saw it. It ended.";
    MethodOptions options = MethodOptions.of("contextcite").withMasks(16, 1);
    AttributionResult one = attribute(options, context, "The cat. It is on the mat.");
    for (int i = 0; i < one.sources().size(); i++) {
      assertThat(one.matrix().get(i).stream().mapToDouble(Double::doubleValue).sum())
          .isCloseTo(one.sources().get(i).tau(), within(1e-9));
    }
    List<Double> scores = one.sources().stream().map(SourceScore::tau).toList();
    assertThat(
            attribute(options, context, "The cat. It is on the mat.").sources().stream()
                .map(SourceScore::tau))
        .isEqualTo(scores);
    assertThat(
            attribute(options.withMasks(16, 2), context, "The cat. It is on the mat.")
                .sources()
                .stream()
                .map(SourceScore::tau))
        .isNotEqualTo(scores);
    assertThat(one.cost().passes()).isBetween(8.0, 18.0);
  }
}
