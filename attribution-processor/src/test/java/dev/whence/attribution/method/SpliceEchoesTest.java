package dev.whence.attribution.method;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.attribution.source.Source;
import dev.whence.attribution.tokens.AblatedPrompt;
import dev.whence.attribution.tokens.CutWindow;
import dev.whence.attribution.tokens.TokenizedPrompt;
import dev.whence.attribution.tokens.TokenizedResponse;
import dev.whence.attribution.toy.ToyTokenizer;
import dev.whence.conversation.Span;
import dev.whence.engine.Branch;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Which tokens of a task's context a splice heals. */
class SpliceEchoesTest {
  private static final String FIRST = "Ann met Bob. ";
  private static final String CONTEXT =
      FIRST + "Then it rained all day long. Later Bob left, and Ann stayed on. So it was. ";
  private static final String QUESTION = "Who left?";
  private static final ToyTokenizer TOKENIZER = new ToyTokenizer(ToyTokenizer.LLAMA3, 200);

  @Test
  void wordsOfTheRemovedSourceThatTheResponseSaysComeFirst() {
    assertThat(healed(2, "", "It was Bob.")).containsExactly(after(), last("Bob"));
    assertThat(healed(2, "", "It was Ann.")).containsExactly(after(), last("Ann"));
    assertThat(healed(4, "", "Nobody."))
        .as("the nearer one, with all its tokens")
        .containsExactly(after(), after() + 1, last("Bob"), last("Bob") + 1);
  }

  @Test
  void theReasoningSaysThemToo() {
    assertThat(healed(2, " Hm, that is Bob?", "Him.")).containsExactly(after(), last("Bob"));
    assertThat(healed(2, " Hm, that is Ann?", "Her.")).containsExactly(after(), last("Ann"));
  }

  @Test
  void oneTokenIsTheOneAfterTheCut() {
    assertThat(healed(1, "", "It was Bob.")).containsExactly(after());
    assertThat(healed(0, "", "It was Bob.")).isEmpty();
  }

  /** First token after the first sentence. */
  private static int after() {
    return prompt("").tokenAt(FIRST.length());
  }

  /** The token in which a word of the context stands last. */
  private static int last(String word) {
    int at = CONTEXT.lastIndexOf(word);
    int token = prompt("").tokenAt(at + 1) - 1;
    assertThat(prompt("").encoding().ends()[token]).isGreaterThan(at);
    return token;
  }

  private static TokenizedPrompt prompt(String reasoning) {
    int end = CONTEXT.length() + QUESTION.length();
    return new TokenizedPrompt(
        TOKENIZER,
        CONTEXT + QUESTION + reasoning,
        CutWindow.of(TOKENIZER),
        reasoning.isEmpty()
            ? Optional.empty()
            : Optional.of(new Span(end, end + reasoning.length())));
  }

  /** Tokens of the context that the splice without the first sentence computes. */
  private static int[] healed(int heal, String reasoning, String response) {
    TokenizedPrompt prompt = prompt(reasoning);
    Span first = new Span(0, FIRST.length());
    Span others = new Span(FIRST.length(), CONTEXT.length());
    TokenizedResponse answer = TokenizedResponse.of(TOKENIZER, "", response, -1, List.of());
    ScoringTask task =
        new ScoringTask(
            prompt,
            answer,
            List.of(
                new Source("d", first, FIRST, first, 0),
                new Source("d", others, CONTEXT.substring(FIRST.length()), others, 0)),
            List.of(new Span(0, CONTEXT.length())),
            List.of());
    AblatedPrompt without = prompt.without(List.of(first));
    Branch branch =
        Splice.reuse(task, heal)
            .branch(
                new Reuse.Reading(
                    without.ids(),
                    without.sharedPrefix(),
                    without.sharedSuffix(),
                    prompt.length(),
                    without.reasoning().from(),
                    prompt.scoredFrom(),
                    answer.ids()));
    int shift = prompt.length() - without.ids().length;
    int contextEnd = prompt.tokenAt(CONTEXT.length());
    return IntStream.of(branch.positions())
        .map(position -> position + shift)
        .filter(token -> token < contextEnd && token >= after())
        .toArray();
  }
}
