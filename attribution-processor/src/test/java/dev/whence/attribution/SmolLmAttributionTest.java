package dev.whence.attribution;

import static dev.whence.attribution.toy.Conversations.document;
import static dev.whence.attribution.toy.Conversations.instruction;
import static dev.whence.attribution.toy.Conversations.question;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.attribution.source.Partitioner;
import dev.whence.attribution.tokens.CutWindow;
import dev.whence.attribution.tokens.TokenizedPrompt;
import dev.whence.attribution.toy.Conversations;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Span;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.weights.ModelFiles;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable;

/** A real model: SmolLM2-135M-Instruct as a GGUF file, named by the environment. */
@EnabledIfEnvironmentVariable(
    named = "WHENCE_TEST_MODEL",
    matches = ".+",
    disabledReason = "WHENCE_TEST_MODEL names no model file")
class SmolLmAttributionTest {
  private static final String CONTEXT =
      "Leland is a small town in the north of the county. It has 312 inhabitants.\n\n"
          + "The town's library was built in 1931 by the architect Maria Lindqvist. It is open on"
          + " Tuesdays.\n\nA river flows past the town. Fishing is allowed from May to September.";

  private static final Conversation CONVERSATION =
      Conversations.of(
          "The library was built by Maria Lindqvist.",
          "stop",
          instruction("Answer from the context.\n\n"),
          document("d", CONTEXT),
          question("\n\nQuestion: Who built the library?"));

  private static LocalScorer open(Dtype dtype) {
    return LocalScorer.open(
        ModelFiles.open(Path.of(System.getenv("WHENCE_TEST_MODEL"))),
        EngineOptions.defaults().withDtype(dtype).withDevice("cpu"));
  }

  private static AttributionResult attribute(LocalScorer scorer, String method) {
    return new Attributor(
            scorer,
            new AttributionOptions(
                MethodOptions.of(method).withKeepParagraphs(1), Granularity.SENTENCE, 0, false, ""))
        .attribute(CONVERSATION);
  }

  private static SourceScore best(AttributionResult result) {
    return result.sources().stream()
        .max(Comparator.comparingDouble(SourceScore::tau))
        .orElseThrow();
  }

  @Test
  void theSentenceThatHoldsTheAnswerDroveIt() {
    try (LocalScorer scorer = open(Dtype.FP32)) {
      AttributionResult exact = attribute(scorer, "exact-loo");
      AttributionResult naive = attribute(scorer, "naive-loo");
      AttributionResult hierarchical = attribute(scorer, "hierarchical");
      assertThat(exact.sources()).hasSize(6);
      for (int i = 0; i < 6; i++) {
        assertThat(exact.sources().get(i).tau())
            .isCloseTo(naive.sources().get(i).tau(), within(1e-3));
      }
      assertThat(best(exact).text()).contains("Maria Lindqvist");
      assertThat(best(exact).tau()).isGreaterThan(5);
      assertThat(best(hierarchical).text()).contains("Maria Lindqvist");
      assertThat(best(hierarchical).context()).isEqualTo("pruned");
      assertThat(exact.endTokenScored()).isTrue();
      assertThat(exact.groundedness().getAsDouble()).isGreaterThan(5);
      assertThat(exact.flags()).isEmpty();
    }
  }

  @Test
  void bf16StaysWithinItsNoiseFloorOfFp32OnMostSources() {
    AttributionResult exact;
    AttributionResult rough;
    try (LocalScorer scorer = open(Dtype.FP32)) {
      exact = attribute(scorer, "exact-loo");
    }
    try (LocalScorer scorer = open(Dtype.BF16)) {
      rough = attribute(scorer, "exact-loo");
    }
    long within = 0;
    for (int i = 0; i < exact.sources().size(); i++) {
      double error = Math.abs(exact.sources().get(i).tau() - rough.sources().get(i).tau());
      within += error <= rough.noiseFloor().getAsDouble() ? 1 : 0;
    }
    assertThat(within).isGreaterThanOrEqualTo(exact.sources().size() - 1);
    assertThat(best(rough).text()).isEqualTo(best(exact).text());
  }

  @Test
  void aWindowGivesTheTokensOfTheWholeTextWithItsTokenizer() {
    try (ModelFiles files = ModelFiles.open(Path.of(System.getenv("WHENCE_TEST_MODEL")))) {
      Tokenizer tokenizer = files.tokenizer();
      String text = (CONTEXT + "\n\n東京は日本の首都です。 🎉 1999...  \n").repeat(40);
      TokenizedPrompt prompt = new TokenizedPrompt(tokenizer, text, CutWindow.of(tokenizer));
      for (Span cut : new Partitioner().sentences(text)) {
        assertThat(prompt.without(List.of(cut)).ids())
            .isEqualTo(tokenizer.encode(prompt.textWithout(List.of(cut))).ids());
      }
    }
  }
}
