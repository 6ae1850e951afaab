package dev.whence.attribution.source;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.conversation.Span;
import org.junit.jupiter.api.Test;

class ContextPatternTest {
  @Test
  void everyMatchOfTheGroupIsFoundAndTheDotMatchesLineBreaks() throws Exception {
    assertThat(new ContextPattern("<(.*?)>").find("a<b\nc>d<>e<f>"))
        .containsExactly(new Span(2, 5), new Span(11, 12));
  }

  @Test
  void aGroupThatTakesNoPartInTheMatchIsNoContext() throws Exception {
    assertThat(new ContextPattern("x(y)?").find("x xy")).containsExactly(new Span(3, 4));
  }

  @Test
  void aMatchWithinTheOneBeforeIsLeftOut() throws Exception {
    assertThat(new ContextPattern("(?=Context:(.*))").find("Context: a Context: b"))
        .containsExactly(new Span(8, 21));
  }

  @Test
  void aPatternThatOverflowsTheStackIsStopped() {
    assertThatThrownBy(() -> new ContextPattern("((?:a|b)*)c").find("ab".repeat(500_000)))
        .isInstanceOf(ContextPattern.TooSlowException.class);
  }

  @Test
  void anExponentialPatternIsStopped() {
    assertThatThrownBy(() -> new ContextPattern("((?:a+)+)b").find("a".repeat(5_000)))
        .isInstanceOf(ContextPattern.TooSlowException.class);
  }

  @Test
  void manyShortTextsOfAPromptGetNoMoreThanOne() throws Exception {
    ContextPattern pattern = new ContextPattern("((?:a+)+)b");
    String text = "a".repeat(700);
    assertThat(pattern.find(text)).isEmpty();
    ContextPattern.Steps steps = new ContextPattern.Steps();
    assertThatThrownBy(
            () -> {
              for (int i = 0; i < 1000; i++) {
                pattern.find(text, steps);
              }
            })
        .isInstanceOf(ContextPattern.TooSlowException.class);
  }

  @Test
  void anOrdinaryPatternIsNotStoppedOnALongText() throws Exception {
    String text = "Context:\n" + "The cat sat. ".repeat(20_000) + "\nQuestion: where?";
    assertThat(new ContextPattern("Context:\\n(.*?)\\nQuestion:").find(text)).hasSize(1);
  }
}
