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
import dev.whence.conversation.Span;
import dev.whence.engine.Trunk;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.junit.jupiter.api.Test;

class LeaveOneOutTest {
  private static final String CONTEXT =
      "The cat sat on the mat. The dog ran. It saw 100 birds.\n\nParis is the capital of France.";
  private static final String ANSWER = "The cat. It is on the mat.";

  private final ToyTransformer scorer =
      new ToyTransformer(new ToyTokenizer(ToyTokenizer.LLAMA3, 200), 4096, 7);

  private static AttributionOptions options(String method) {
    return new AttributionOptions(
        MethodOptions.of(method).withKeepParagraphs(1), Granularity.SENTENCE, 0, false, "");
  }

  private AttributionResult attribute(String method, Conversation conversation) {
    return new Attributor(scorer, options(method)).attribute(conversation);
  }

  /** L of a response after a prompt, by the definition: encode, run, sum. */
  private double logLikelihood(String prompt, String response, boolean stopped) {
    int[] before = scorer.tokenizer().encode(prompt).ids();
    int[] after = scorer.tokenizer().encode(response).ids();
    int[] tokens = Arrays.copyOf(before, before.length + after.length + (stopped ? 1 : 0));
    System.arraycopy(after, 0, tokens, before.length, after.length);
    if (stopped) {
      tokens[tokens.length - 1] = scorer.tokenizer().idOf("<|end|>");
    }
    try (Trunk trunk = scorer.trunk(tokens, before.length)) {
      return Arrays.stream(trunk.logProbs()).sum();
    }
  }

  private static Conversation conversation(String finishReason) {
    return Conversations.of(
        ANSWER,
        finishReason,
        instruction("Answer.\n\n"),
        document("d", CONTEXT),
        question("\n\nWhere is the cat?"));
  }

  private static String prompt(String context) {
    return "<s><|user|>Answer.\n\n" + context + "\n\nWhere is the cat?<|end|>";
  }

  @Test
  void tauIsTheLossOfLogLikelihoodWhenTheSourceIsDeletedFromTheText() {
    AttributionResult result = attribute("exact-loo", conversation("stop"));
    double full = logLikelihood(prompt(CONTEXT), ANSWER, true);
    assertThat(result.logLikelihood().getAsDouble()).isCloseTo(full, within(1e-9));
    List<String> sentences =
        List.of(
            "The cat sat on the mat. ",
            "The dog ran. ",
            "It saw 100 birds.",
            "Paris is the capital of France.");
    assertThat(result.sources()).extracting(SourceScore::text).isEqualTo(sentences);
    for (int i = 0; i < sentences.size(); i++) {
      double without = logLikelihood(prompt(CONTEXT.replace(sentences.get(i), "")), ANSWER, true);
      assertThat(result.sources().get(i).tau()).isCloseTo(full - without, within(1e-9));
      assertThat(result.sources().get(i).exact()).isTrue();
      assertThat(result.sources().get(i).context()).isEqualTo("full");
    }
    assertThat(result.sources()).anyMatch(source -> Math.abs(source.tau()) > 0.5);
  }

  @Test
  void groundednessIsTheLossWithoutAnyAttributableContextAtEveryGranularity() {
    double full = logLikelihood(prompt(CONTEXT), ANSWER, true);
    double without = logLikelihood(prompt(""), ANSWER, true);
    for (Granularity granularity : Granularity.values()) {
      AttributionResult result =
          new Attributor(
                  scorer,
                  new AttributionOptions(
                      MethodOptions.of("exact-loo").withKeepParagraphs(3),
                      granularity,
                      0,
                      false,
                      ""))
              .attribute(conversation("stop"));
      assertThat(result.logLikelihoodWithoutContext().getAsDouble())
          .isCloseTo(without, within(1e-9));
      assertThat(result.groundedness().getAsDouble()).isCloseTo(full - without, within(1e-9));
      assertThat(result.groundednessPerToken().getAsDouble())
          .isCloseTo((full - without) / result.responseTokens(), within(1e-9));
    }
  }

  @Test
  void theEndTokenIsScoredExactlyIfTheModelStopped() {
    AttributionResult stopped = attribute("exact-loo", conversation("stop"));
    AttributionResult cutOff = attribute("exact-loo", conversation("length"));
    assertThat(stopped.endTokenScored()).isTrue();
    assertThat(cutOff.endTokenScored()).isFalse();
    assertThat(stopped.responseTokens()).isEqualTo(cutOff.responseTokens() + 1);
    assertThat(cutOff.logLikelihood().getAsDouble())
        .isCloseTo(logLikelihood(prompt(CONTEXT), ANSWER, false), within(1e-9));
  }

  @Test
  void cachedAndNaiveScoresAreTheSameAndTheCacheSavesTokens() {
    AttributionResult exact = attribute("exact-loo", conversation("stop"));
    AttributionResult naive = attribute("naive-loo", conversation("stop"));
    for (int i = 0; i < exact.sources().size(); i++) {
      assertThat(exact.sources().get(i).tau())
          .isCloseTo(naive.sources().get(i).tau(), within(1e-9));
    }
    assertThat(naive.method()).isEqualTo("naive-loo");
    assertThat(exact.cost().branchTokens()).isLessThan(naive.cost().branchTokens());
    assertThat(exact.cost().trunkTokens()).isEqualTo(exact.promptTokens() + exact.responseTokens());
    assertThat(exact.cost().passes())
        .isCloseTo(
            (exact.cost().trunkTokens() + exact.cost().branchTokens())
                / (double) exact.cost().trunkTokens(),
            within(1e-12));
  }

  @Test
  void sourcesThatSayTheSameGetTheScoreOfAllOfThemLeftOutAtOnce() {
    String first = "The cat sat on the mat. ";
    String second = "It ran. ";
    String again = "the cat sat on the mat!";
    Conversation twice =
        Conversations.of(
            ANSWER,
            "stop",
            document(
                "d",
                first + second + again,
                new Span(0, first.length()),
                new Span(first.length(), first.length() + second.length()),
                new Span(
                    first.length() + second.length(),
                    first.length() + second.length() + again.length())),
            question("\n\nWhere?"));
    for (String method : List.of("exact-loo", "naive-loo", "splice", "hierarchical", "cascade")) {
      AttributionResult result = attribute(method, twice);
      assertThat(result.groups()).hasSize(1);
      assertThat(result.groups().get(0).sources()).containsExactly(0, 2);
      double full =
          logLikelihood("<s><|user|>" + first + second + again + "\n\nWhere?<|end|>", ANSWER, true);
      double without = logLikelihood("<s><|user|>" + second + "\n\nWhere?<|end|>", ANSWER, true);
      assertThat(result.groups().get(0).tau()).isCloseTo(full - without, within(1e-9));
    }
    assertThat(attribute("exact-loo", conversation("stop")).groups()).isEmpty();
  }

  @Test
  void rowsOfTheMatrixSumToTauAndStatementsToTheLogLikelihood() {
    AttributionResult result = attribute("exact-loo", conversation("stop"));
    assertThat(result.statements()).hasSize(2);
    for (int i = 0; i < result.sources().size(); i++) {
      double row = result.matrix().get(i).stream().mapToDouble(Double::doubleValue).sum();
      assertThat(row).isCloseTo(result.sources().get(i).tau(), within(1e-12));
    }
    double statements = result.statements().stream().mapToDouble(s -> s.logLikelihood()).sum();
    double tokens = result.tokens().stream().mapToDouble(t -> t.logProb()).sum();
    assertThat(statements).isCloseTo(result.logLikelihood().getAsDouble(), within(1e-9));
    assertThat(tokens).isCloseTo(result.logLikelihood().getAsDouble(), within(1e-9));
  }

  @Test
  void oneStatementOfTheMatrixIsTheLossOnThatStatementAlone() {
    AttributionResult result = attribute("exact-loo", conversation("length"));
    // The first statement's tokens come first, so its share is the loss of the shorter response.
    // " It" begins with the space, and belongs to the second.
    String first = "The cat.";
    String shorter = prompt(CONTEXT.replace("The dog ran. ", ""));
    double tau =
        logLikelihood(prompt(CONTEXT), first, false) - logLikelihood(shorter, first, false);
    assertThat(result.matrix().get(1).get(0)).isCloseTo(tau, within(1e-9));
  }

  @Test
  void theSameSentenceTwiceIsTwoSources() {
    String twice = "The cat sat. The dog ran. The cat sat. ";
    AttributionResult result =
        attribute(
            "exact-loo",
            Conversations.of(ANSWER, "stop", document("d", twice), question("Where?")));
    assertThat(result.sources())
        .extracting(SourceScore::span)
        .containsExactly(new Span(0, 13), new Span(13, 26), new Span(26, 39));
    double full = logLikelihood("<s><|user|>" + twice + "Where?<|end|>", ANSWER, true);
    double first =
        logLikelihood("<s><|user|>The dog ran. The cat sat. Where?<|end|>", ANSWER, true);
    double second =
        logLikelihood("<s><|user|>The cat sat. The dog ran. Where?<|end|>", ANSWER, true);
    assertThat(result.sources().get(0).tau()).isCloseTo(full - first, within(1e-9));
    assertThat(result.sources().get(2).tau()).isCloseTo(full - second, within(1e-9));
  }

  @Test
  void theCallersSpansAreRemovedAsTheyAreAndGapsNever() {
    String text = "[1] The cat 🎉 sat. [2] The dog ran.";
    Span cat = new Span(4, 19);
    Span dog = new Span(24, 36);
    AttributionResult result =
        attribute(
            "exact-loo",
            Conversations.of(ANSWER, "stop", document("d", text, cat, dog), question("\nWhere?")));
    assertThat(result.sources()).extracting(SourceScore::span).containsExactly(cat, dog);
    double full = logLikelihood("<s><|user|>" + text + "\nWhere?<|end|>", ANSWER, true);
    double without = logLikelihood("<s><|user|>[1]  [2] The dog ran.\nWhere?<|end|>", ANSWER, true);
    double none = logLikelihood("<s><|user|>[1]  [2] \nWhere?<|end|>", ANSWER, true);
    assertThat(text.substring(4, 19)).isEqualTo("The cat 🎉 sat.");
    assertThat(result.sources().get(0).tau()).isCloseTo(full - without, within(1e-9));
    assertThat(result.groundedness().getAsDouble()).isCloseTo(full - none, within(1e-9));
  }

  @Test
  void aTokenAcrossTwoSourcesIsTokenisedAnewAndCounted() {
    // ".\n\n" is one token: without the first paragraph's sentence its break becomes another one.
    String text = "It ran.\n\nThe cat sat.";
    Conversation conversation =
        Conversations.of(
            ANSWER, "stop", document("d", text), question("\nWhere?"), instruction("!"));
    AttributionResult result = attribute("exact-loo", conversation);
    double full = logLikelihood("<s><|user|>" + text + "\nWhere?!<|end|>", ANSWER, true);
    double without = logLikelihood("<s><|user|>\n\nThe cat sat.\nWhere?!<|end|>", ANSWER, true);
    assertThat(result.sources().get(0).tau()).isCloseTo(full - without, within(1e-9));
    assertThat(result.retokenizedBranches()).isPositive();
    assertThat(attribute("contextcite", conversation).retokenizedBranches()).isPositive();
  }

  @Test
  void whatTheTemplateTrimsAwayHasNoInfluence() {
    AttributionResult result =
        attribute(
            "exact-loo",
            Conversations.of(
                ANSWER, "stop", document("d", "  The cat sat.", new Span(0, 2), new Span(2, 14))));
    assertThat(result.sources().get(0).tau()).isZero();
    assertThat(result.sources().get(1).tau()).isNotZero();
  }

  @Test
  void branchesAreHandedOverInChunksOfBoundedSize() {
    ToyTransformer model = new ToyTransformer(scorer.tokenizer(), 1 << 20, 7);
    CountingScorer counting = new CountingScorer(model);
    // All different: a sentence like its neighbour would share more than what stands before it.
    String context =
        IntStream.range(0, 2000)
            .mapToObj(i -> "Bird " + i + " ran. ")
            .collect(Collectors.joining());
    AttributionResult result =
        new Attributor(counting, options("exact-loo"))
            .attribute(Conversations.of("It.", "stop", document("d", context), question("Where?")));
    assertThat(result.sources()).hasSize(2000);
    assertThat(counting.calls).isGreaterThan(10);
    assertThat(counting.largestCall).isLessThan((1 << 18) + result.promptTokens() + 10);
    assertThat(result.cost().branchTokens())
        .isEqualTo(counting.tokens)
        .isBetween(950L * result.promptTokens(), 1050L * result.promptTokens());
  }

  @Property(tries = 25)
  void cachedIsNaiveOnAnyTextAndAnySpans(@ForAll("contexts") String context) {
    Conversation conversation =
        Conversations.of("It ran. 🎉 So.", "stop", document("d", context), question("\nWhere?"));
    AttributionResult exact = attribute("exact-loo", conversation);
    AttributionResult naive = attribute("naive-loo", conversation);
    assertThat(exact.status()).isEqualTo(AttributionStatus.SCORED);
    assertThat(exact.sources()).hasSameSizeAs(naive.sources());
    for (int i = 0; i < exact.sources().size(); i++) {
      assertThat(exact.sources().get(i).tau())
          .isCloseTo(naive.sources().get(i).tau(), within(1e-9));
    }
    assertThat(exact.groundedness().getAsDouble())
        .isCloseTo(naive.groundedness().getAsDouble(), within(1e-9));
    assertThat(scorer.trunksOpen).isZero();
  }

  @Provide
  Arbitrary<String> contexts() {
    return Arbitraries.of(
            "The cat sat. ",
            "It ran.\n\n",
            "東京は首都です。",
            "Isn't it? ",
            "1999",
            " 100 ",
            "🎉",
            "\n",
            "...",
            " x",
            "e\u0301",
            "<|end|>",
            "Dr. A. ")
        .list()
        .ofMaxSize(12)
        .map(list -> String.join("", list));
  }
}
