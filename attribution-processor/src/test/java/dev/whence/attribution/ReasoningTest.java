package dev.whence.attribution;

import static dev.whence.attribution.toy.Conversations.document;
import static dev.whence.attribution.toy.Conversations.instruction;
import static dev.whence.attribution.toy.Conversations.question;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.attribution.AttributionResult.Reasoning;
import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.method.AttributionMethod;
import dev.whence.attribution.method.ContextScores;
import dev.whence.attribution.method.Meter;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.attribution.method.ScoringTask;
import dev.whence.attribution.toy.Conversations;
import dev.whence.attribution.toy.OtherScorer;
import dev.whence.attribution.toy.ThinkingTemplate;
import dev.whence.attribution.toy.ToyTokenizer;
import dev.whence.attribution.toy.ToyTransformer;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Part;
import dev.whence.engine.Branch;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.Scorer;
import dev.whence.engine.WorkEstimate;
import dev.whence.engine.weights.ModelFiles;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a reasoning model thought is scored as a response of its own, in the same forwards. */
class ReasoningTest {
  private static final String CONTEXT =
      "The cat sat on the mat. The dog ran. It saw 100 birds.\n\n"
          + "Paris is the capital of France. Berlin is not. So it goes.";
  private static final String THOUGHT = "So: the cat. Isn't it on the mat, with the dog";
  private static final String ANSWER = "The cat. It is on the mat.";

  private final ToyTransformer scorer = thinking(ToyTokenizer.LLAMA3);

  private static ToyTransformer thinking(String words) {
    return new ToyTransformer(new ToyTokenizer(words, 200), 4096, 7, new ThinkingTemplate());
  }

  private static Part[] parts(String context) {
    return new Part[] {
      instruction("Answer.\n\n"), document("d", context), question("\n\nWhere is the cat?")
    };
  }

  private static AttributionOptions options(String method) {
    return new AttributionOptions(
        MethodOptions.of(method).withKeepParagraphs(1).withHeal(2).withExactTop(2).withMasks(8, 0),
        Granularity.SENTENCE,
        0,
        false,
        "");
  }

  private static AttributionResult attribute(
      Scorer scorer, String method, Conversation conversation) {
    AttributionResult result = new Attributor(scorer, options(method)).attribute(conversation);
    assertThat(result.status()).as(result.reason()).isEqualTo(AttributionStatus.SCORED);
    return result;
  }

  private static Conversation reasoned(String context) {
    return Conversations.reasoned(THOUGHT, ANSWER, parts(context));
  }

  /** The response is the thought, and ends before the tag that closes it. */
  private static Conversation thoughtAlone(String context) {
    return Conversations.of(THOUGHT, "length", parts(context));
  }

  private static void same(AttributionResult reasoned, AttributionResult alone, double tolerance) {
    Reasoning reasoning = reasoned.reasoning().orElseThrow();
    assertThat(alone.reasoning()).isEmpty();
    assertThat(reasoning.tokens()).isEqualTo(alone.responseTokens());
    assertThat(reasoning.noiseFloor()).isEqualTo(alone.noiseFloor().getAsDouble());
    assertThat(reasoning.logLikelihood())
        .isCloseTo(alone.logLikelihood().getAsDouble(), within(tolerance));
    assertThat(reasoning.groundedness().getAsDouble())
        .isCloseTo(alone.groundedness().getAsDouble(), within(tolerance));
    assertThat(reasoning.groundednessPerToken().getAsDouble())
        .isCloseTo(alone.groundednessPerToken().getAsDouble(), within(tolerance));
    assertThat(reasoned.sources()).hasSameSizeAs(alone.sources());
    for (int i = 0; i < alone.sources().size(); i++) {
      SourceScore source = reasoned.sources().get(i);
      SourceScore expected = alone.sources().get(i);
      assertThat(source.reasoningTau().getAsDouble()).isCloseTo(expected.tau(), within(tolerance));
      assertThat(source.exact()).isEqualTo(expected.exact());
      assertThat(expected.reasoningTau()).isEmpty();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"exact-loo", "naive-loo", "splice"})
  void tauOfTheReasoningIsThatOfAResponseThatIsTheReasoning(String method) {
    AttributionResult reasoned = attribute(scorer, method, reasoned(CONTEXT));
    AttributionResult alone = attribute(scorer, method, thoughtAlone(CONTEXT));
    same(reasoned, alone, 1e-9);
    assertThat(reasoned.flags()).isEmpty();
    assertThat(reasoned.sources())
        .anyMatch(source -> Math.abs(source.reasoningTau().getAsDouble()) > 3)
        .allMatch(source -> Math.abs(source.reasoningTau().getAsDouble() - source.tau()) > 1e-3);
  }

  @Property(tries = 25)
  void theSameInAnyContextAndWithTokensThatMergeAnywhere(@ForAll long seed) {
    Random random = new Random(seed);
    List<String> words =
        List.of("The cat", " sat", " on the mat", ". ", ".\n\n", "Paris", " 1999", "🎉", "東京。");
    String context =
        IntStream.range(0, 12)
            .mapToObj(i -> words.get(random.nextInt(words.size())))
            .collect(Collectors.joining("", "The dog", "."));
    for (String tokens : List.of(ToyTokenizer.LLAMA3, ToyTokenizer.GPT2, ToyTokenizer.NONE)) {
      ToyTransformer model = thinking(tokens);
      for (String method : List.of("exact-loo", "splice")) {
        same(
            attribute(model, method, reasoned(context)),
            attribute(model, method, thoughtAlone(context)),
            1e-4);
      }
    }
  }

  /** Which sources they look at closer depends on the answer; each look is at the thought, too. */
  @ParameterizedTest
  @ValueSource(strings = {"cascade", "paragraph-splice"})
  void methodsThatLookTwiceScoreTheReasoningInBothLooks(String method) {
    AttributionResult result = attribute(scorer, method, reasoned(CONTEXT));
    AttributionResult exact = attribute(scorer, "exact-loo", thoughtAlone(CONTEXT));
    AttributionResult splice = attribute(scorer, "splice", thoughtAlone(CONTEXT));
    int known = 0;
    for (int i = 0; i < result.sources().size(); i++) {
      SourceScore source = result.sources().get(i);
      double tau = source.reasoningTau().getAsDouble();
      if (source.exact() || source.method().equals("splice")) {
        AttributionResult alone = source.exact() ? exact : splice;
        assertThat(tau).isCloseTo(alone.sources().get(i).tau(), within(1e-9));
        known++;
      }
    }
    assertThat(known).isGreaterThanOrEqualTo(3);
    assertThat(result.flags()).isEmpty();
  }

  @Test
  void whatIsScoredInAPrunedPromptIsScoredThereForTheReasoningTooAndTheOthersHaveTheirShare() {
    AttributionResult result = attribute(scorer, "hierarchical", reasoned(CONTEXT));
    List<SourceScore> shares =
        result.sources().stream().filter(s -> s.context().equals(SourceScore.FULL)).toList();
    List<SourceScore> opened =
        result.sources().stream().filter(s -> s.context().equals(SourceScore.PRUNED)).toList();
    assertThat(shares)
        .hasSize(3)
        .allMatch(source -> source.method().equals("hierarchical-paragraph"));
    assertThat(opened).hasSize(3);

    String pruned = CONTEXT;
    for (SourceScore share : shares) {
      pruned = pruned.replace(share.text(), "");
    }
    AttributionResult alone = attribute(scorer, "exact-loo", thoughtAlone(pruned));
    for (int i = 0; i < 3; i++) {
      assertThat(opened.get(i).reasoningTau().getAsDouble())
          .isCloseTo(alone.sources().get(i).tau(), within(1e-9));
    }
    AttributionResult paragraphs =
        new Attributor(
                scorer,
                new AttributionOptions(MethodOptions.DEFAULT, Granularity.PARAGRAPH, 0, false, ""))
            .attribute(thoughtAlone(CONTEXT));
    int paragraph = CONTEXT.startsWith(shares.get(0).text()) ? 0 : 1;
    assertThat(shares.stream().mapToDouble(s -> s.reasoningTau().getAsDouble()).sum())
        .isCloseTo(paragraphs.sources().get(paragraph).tau(), within(1e-9));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "exact-loo",
        "naive-loo",
        "hierarchical",
        "splice",
        "paragraph-splice",
        "cascade",
        "contextcite"
      })
  void theAnswersNumbersAreTheSameWhetherTheReasoningIsScoredOrNot(String method)
      throws NotScorableException {
    ScoringTask task = new TaskReader(scorer, options(method)).read(reasoned(CONTEXT)).task();
    sameAnswer(scorer, method, task, 1e-9);
  }

  private static void sameAnswer(Scorer scorer, String method, ScoringTask task, double tolerance) {
    AttributionMethod scoring = AttributionMethod.of(options(method).method());
    ContextScores with = scoring.score(scorer, task, new Meter());
    ContextScores without = scoring.score(scorer, task.withoutReasoning(), new Meter());
    assertThat(with.reasoning()).isPresent();
    assertThat(without.reasoning()).isEmpty();
    assertThat(with.tokenLogProbs()).containsExactly(without.tokenLogProbs(), within(tolerance));
    assertThat(with.byStatement()).containsExactly(without.byStatement(), within(tolerance));
    assertThat(with.withoutContext().orElseThrow())
        .containsExactly(without.withoutContext().orElseThrow(), within(tolerance));
    for (int i = 0; i < task.sources().size(); i++) {
      assertThat(with.sources().get(i).byStatement())
          .containsExactly(without.sources().get(i).byStatement(), within(tolerance));
      assertThat(without.sources().get(i).reasoning()).isEmpty();
    }
  }

  /** On the engine's kernels, whose last layer computes the wanted rows only. */
  @ParameterizedTest
  @ValueSource(strings = {"qwen3", "neox_serial"})
  void theEngineScoresTheReasoningInTheSameForwards(String family) throws NotScorableException {
    Path directory = Path.of("../engine/src/test/resources/fixtures/kernel").resolve(family);
    EngineOptions options = EngineOptions.defaults().withDtype(Dtype.FP32).withDevice("cpu");
    try (LocalScorer model =
        LocalScorer.open(ModelFiles.open(directory), options.withPackTokens(97))) {
      ThinkingTemplate template = new ThinkingTemplate(model.template(), " t1 t2 ", " t3 ");
      Scorer reasoner = new OtherScorer(model, "reasoner", model.tokenizer(), template);
      Part[] parts = {
        document("d", "t4 t5 t6 t7. t8 t9 t10 t11. t12 t13 t14 t15. t16 t17 t18."),
        question(" t20 t21 t22")
      };
      String thought = "t30 t31 t5 t32 t9 t33";
      Conversation reasoned = Conversations.reasoned(thought, "t40 t41", parts);
      for (String method : List.of("exact-loo", "splice")) {
        AttributionResult alone =
            attribute(reasoner, method, Conversations.of(thought, "length", parts));
        same(attribute(reasoner, method, reasoned), alone, 1e-4);
        ScoringTask task = new TaskReader(reasoner, options(method)).read(reasoned).task();
        sameAnswer(reasoner, method, task, 1e-5);
      }
      for (String method : List.of("attention", "gradient-norm", "similarity")) {
        ScoringTask task = new TaskReader(reasoner, options(method)).read(reasoned).task();
        sameAnswer(reasoner, method, task, 1e-5);
      }
    }
  }

  @Test
  void noTokenIsRunForItThatWouldNotBeRunAnyway() throws NotScorableException {
    for (String method : List.of("exact-loo", "splice", "cascade")) {
      ScoringTask task = new TaskReader(scorer, options(method)).read(reasoned(CONTEXT)).task();
      AttributionMethod scoring = AttributionMethod.of(options(method).method());
      long start = scorer.tokensRun;
      scoring.score(scorer, task.withoutReasoning(), new Meter());
      long without = scorer.tokensRun - start;
      scoring.score(scorer, task, new Meter());
      assertThat(scorer.tokensRun - start - without).isEqualTo(without);
    }
  }

  /** As models do that write a full stop before the line feed which closes their thought. */
  @Test
  void aTokenThatReachesPastTheReasoningBelongsToIt() {
    String thought = "So: the cat.";
    ToyTransformer closing =
        new ToyTransformer(
            new ToyTokenizer(ToyTokenizer.LLAMA3, 200),
            4096,
            7,
            new ThinkingTemplate(new ThinkingTemplate().plain(), "<think>\n", "\n\n</think>\n"));
    assertThat(closing.tokenizer().encode(".\n\n").length()).isEqualTo(1);
    same(
        attribute(closing, "exact-loo", Conversations.reasoned(thought, ANSWER, parts(CONTEXT))),
        attribute(
            closing, "exact-loo", Conversations.of(thought + "\n\n", "length", parts(CONTEXT))),
        1e-9);
  }

  @Test
  void sourcesThatSayNearlyTheSameHaveTheirTauOfTheReasoningTogether() {
    String twice = "The cat sat on the mat. Paris is in France. The cat sat on the mat. ";
    AttributionResult reasoned = attribute(scorer, "exact-loo", reasoned(twice));
    AttributionResult alone = attribute(scorer, "exact-loo", thoughtAlone(twice));
    assertThat(reasoned.groups()).hasSize(1);
    assertThat(reasoned.groups().get(0).reasoningTau().getAsDouble())
        .isCloseTo(alone.groups().get(0).tau(), within(1e-9));
    assertThat(alone.groups().get(0).reasoningTau()).isEmpty();
  }

  @Test
  void aMethodThatDoesNotSayItIsFlaggedAndTheRestIsThere() {
    AttributionResult result = attribute(scorer, "contextcite", reasoned(CONTEXT));
    AttributionResult alone = attribute(scorer, "exact-loo", thoughtAlone(CONTEXT));
    assertThat(result.flags()).contains("REASONING_NOT_ATTRIBUTED");
    assertThat(result.sources()).allMatch(source -> source.reasoningTau().isEmpty());
    assertThat(result.reasoning().orElseThrow().groundedness().getAsDouble())
        .isCloseTo(alone.groundedness().getAsDouble(), within(1e-9));
  }

  @Test
  void whatAProxyScoredIsTheProxysForTheReasoningToo() {
    ToyTransformer smaller =
        new ToyTransformer(
            new ToyTokenizer(ToyTokenizer.GPT2, 60), 4096, 21, new ThinkingTemplate());
    Scorer proxy = new OtherScorer(smaller, "small", smaller.tokenizer());
    AttributionResult result =
        new Attributor(scorer, Optional.of(proxy), options("proxy"), NoiseFloor.FP32)
            .attribute(reasoned(CONTEXT));
    AttributionResult ofProxy = attribute(proxy, "exact-loo", thoughtAlone(CONTEXT));
    AttributionResult ofTarget = attribute(scorer, "exact-loo", thoughtAlone(CONTEXT));
    for (int i = 0; i < result.sources().size(); i++) {
      assertThat(result.sources().get(i).reasoningTau().getAsDouble())
          .isCloseTo(ofProxy.sources().get(i).tau(), within(1e-9));
      assertThat(result.sources().get(i).scorer()).isEqualTo("small");
    }
    assertThat(result.reasoning().orElseThrow().logLikelihood())
        .isCloseTo(ofTarget.logLikelihood().getAsDouble(), within(1e-9));

    AttributionResult pruned =
        new Attributor(scorer, Optional.of(proxy), options("proxy-pruning"), NoiseFloor.FP32)
            .attribute(reasoned(CONTEXT));
    for (int i = 0; i < pruned.sources().size(); i++) {
      SourceScore source = pruned.sources().get(i);
      if (source.scorer().equals("small")) {
        assertThat(source.reasoningTau().getAsDouble())
            .isCloseTo(ofProxy.sources().get(i).tau(), within(1e-9));
      } else {
        assertThat(source.reasoningTau()).isPresent();
      }
    }
  }

  @Test
  void anEarlierResultWithoutScoresOfTheReasoningIsFlagged() {
    AttributionResult fast = attribute(scorer, "splice", reasoned(CONTEXT));
    SourcePlace first = new SourcePlace("d", fast.sources().get(0).span());
    for (boolean known : new boolean[] {true, false}) {
      List<SourceScore> sources =
          fast.sources().stream()
              .map(
                  s -> known ? s : new SourceScore("d", s.span(), "", s.tau(), false, "m", "s", ""))
              .toList();
      Attributor target = new Attributor(scorer, options("exact-loo"));
      AttributionResult result =
          target.attribute(
              target.read(
                  reasoned(CONTEXT),
                  new EarlierScores(sources, fast.matrix(), Set.of(first), Optional.empty())));
      assertThat(result.sources().get(0).reasoningTau()).isPresent();
      assertThat(result.sources().get(1).reasoningTau().isPresent()).isEqualTo(known);
      assertThat(result.flags().contains("REASONING_NOT_ATTRIBUTED")).isEqualTo(!known);
    }
  }

  @Test
  void theEstimateCountsTheRowsOfTheReasoning() throws NotScorableException {
    Conversation conversation = reasoned(CONTEXT);
    ScoringTask task = new TaskReader(scorer, options("splice")).read(conversation).task();
    int rows = task.scored();
    assertThat(rows).isGreaterThan(task.response().length() + 5);
    for (String method : List.of("exact-loo", "naive-loo", "splice", "cascade", "hierarchical")) {
      RowCounter counter = new RowCounter(scorer);
      new Attributor(counter, options(method)).estimate(conversation);
      assertThat(counter.trunkRows).isEqualTo(rows);
      assertThat(counter.branchRows).isEqualTo(rows);
    }
  }

  /** Notes how many rows estimates are asked for. */
  private static final class RowCounter extends OtherScorer {
    int trunkRows;
    int branchRows;

    RowCounter(Scorer model) {
      super(model, "toy", model.tokenizer());
    }

    @Override
    public WorkEstimate estimate(int trunkTokens, int trunkScored, List<Branch> branches) {
      trunkRows = Math.max(trunkRows, trunkScored);
      branchRows = Math.max(branchRows, branches.stream().mapToInt(Branch::scored).max().orElse(0));
      return super.estimate(trunkTokens, trunkScored, branches);
    }
  }

  @Test
  void withoutReasoningInThePromptNothingIsSaidOfIt() {
    AttributionResult result = attribute(scorer, "exact-loo", thoughtAlone(CONTEXT));
    assertThat(result.reasoning()).isEmpty();
    assertThat(result.flags()).contains("REASONING_MISSING");
    assertThat(result.sources()).allMatch(source -> source.reasoningTau().isEmpty());
  }
}
