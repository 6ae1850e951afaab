package dev.whence.samples.recipes;

import dev.whence.conversation.Span;
import dev.whence.engine.text.Encoding;
import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.LossWeights;
import dev.whence.samples.TrainingText;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * How much the loss of a token counts, by where it stands in a text.
 *
 * @param text outside questions and answers
 * @param question in a question
 * @param lead in an answer, before the value
 * @param answer in an answer, from the value on
 * @param spaces whether a space between two of these parts counts with what follows it, not as
 *     text. Where a space is a token of its own, it says that a name comes and not a word
 */
public record TokenWeights(float text, float question, float lead, float answer, boolean spaces) {
  /** Spaces within answers count as text. */
  public TokenWeights(float text, float question, float lead, float answer) {
    this(text, question, lead, answer, false);
  }

  /** A text as an example. */
  Example example(TrainingText training, Tokenizer tokenizer) {
    Encoding encoding = tokenizer.encode(training.text());
    return new Example(encoding.ids(), of(training).of(encoding));
  }

  /** By span of a text. */
  public LossWeights of(TrainingText training) {
    List<LossWeights.Span> spans = new ArrayList<>();
    add(training.answers(), answer, spans);
    add(training.leads(), lead, spans);
    add(training.questions(), question, spans);
    spans.sort(Comparator.comparingInt(LossWeights.Span::start));
    for (int i = 1; spaces && i < spans.size(); i++) {
      LossWeights.Span span = spans.get(i);
      int end = spans.get(i - 1).end();
      if (training.text().substring(end, span.start()).isBlank()) {
        spans.set(i, new LossWeights.Span(end, span.end(), span.weight()));
      }
    }
    return new LossWeights(text, spans);
  }

  private static void add(List<Span> places, float weight, List<LossWeights.Span> spans) {
    for (Span place : places) {
      spans.add(new LossWeights.Span(place.start(), place.end(), weight));
    }
  }
}
