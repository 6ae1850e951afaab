package dev.whence.samples;

import dev.whence.conversation.Span;

/**
 * What is answered: the first statement of the relation, about the subject that was asked for.
 *
 * @param text {@code Mandel lives in Dorra.}
 * @param value where the value stands in it, {@code Dorra}
 */
public record Reply(String text, Span value) {
  static Reply of(Fact asked, String value) {
    String text = Wording.statement(asked.with(value), asked.relation().statements().get(0)).text();
    int start = text.lastIndexOf(value);
    return new Reply(text, new Span(start, start + value.length()));
  }
}
