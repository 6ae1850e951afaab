package dev.whence.samples;

import dev.whence.conversation.Span;
import java.util.List;

/**
 * A document to train on.
 *
 * @param id unique in its corpus
 * @param training its text, with the places of questions and answers
 * @param sentences where each sentence stands (in question form: each question with its answer)
 * @param facts what it states, by sentence
 */
public record Document(
    String id, TrainingText training, List<Span> sentences, List<StatedFact> facts) {
  public Document {
    sentences = List.copyOf(sentences);
    facts = List.copyOf(facts);
  }

  public String text() {
    return training.text();
  }
}
