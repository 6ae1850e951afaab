package dev.whence.attribution.method;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.attribution.method.ContextScores.SourceTau;
import dev.whence.attribution.source.Source;
import dev.whence.attribution.tokens.CutWindow;
import dev.whence.attribution.tokens.TokenizedPrompt;
import dev.whence.attribution.tokens.TokenizedResponse;
import dev.whence.attribution.toy.ToyTokenizer;
import dev.whence.conversation.Span;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import org.junit.jupiter.api.Test;

class ParagraphsTest {
  private static final String TEXT = "One. Two. Six. Ten. Where?";

  private static Source source(int start, int end, int paragraph) {
    Span span = new Span(start, end);
    return new Source("d", span, TEXT.substring(start, end), span, paragraph);
  }

  private static SourceTau tau(double nats) {
    return new SourceTau(
        new double[] {nats, 2 * nats}, OptionalDouble.of(nats), "exact-loo", "toy", true, false);
  }

  @Test
  void aSourceOfWhichThePromptHasNothingGetsNoShareOfItsParagraph() {
    ToyTokenizer tokenizer = new ToyTokenizer(ToyTokenizer.LLAMA3, 200);
    ScoringTask task =
        new ScoringTask(
            new TokenizedPrompt(tokenizer, TEXT, CutWindow.of(tokenizer), Optional.empty()),
            TokenizedResponse.of(tokenizer, "", "One.", -1, List.of()),
            List.of(
                source(0, 5, 0),
                source(5, 5, 0),
                source(5, 10, 0),
                source(10, 10, 1),
                source(10, 15, 1),
                source(15, 15, 2)),
            List.of(new Span(0, 15)),
            List.of());
    SourceTau[] taus = new SourceTau[6];
    Paragraphs.Open open =
        Paragraphs.of(task).divide(List.of(tau(4), tau(3), tau(0)), 0, "share", taus);
    assertThat(open.sources()).isEmpty();
    assertThat(Arrays.stream(taus).map(SourceTau::total))
        .containsExactly(6.0, 0.0, 6.0, 0.0, 9.0, 0.0);
    assertThat(Arrays.stream(taus).map(tau -> tau.reasoning().getAsDouble()))
        .containsExactly(2.0, 0.0, 2.0, 0.0, 3.0, 0.0);
    // What has no tokens is exactly 0, and a source that is alone is its paragraph.
    assertThat(Arrays.stream(taus).map(SourceTau::exact))
        .containsExactly(false, true, false, true, true, true);
    SourceTau[] kept = new SourceTau[6];
    Paragraphs.Open again =
        Paragraphs.of(task).divide(List.of(tau(4), tau(3), tau(0)), 1, "share", kept);
    assertThat(again.sources()).containsExactly(0, 2);
    assertThat(kept[1].total()).isZero();
  }
}
