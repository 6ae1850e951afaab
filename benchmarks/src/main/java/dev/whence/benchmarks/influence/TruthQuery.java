package dev.whence.benchmarks.influence;

import dev.whence.conversation.Conversation;
import dev.whence.samples.Question;
import dev.whence.samples.StatedFact.Form;
import java.util.Map;
import java.util.Set;

/**
 * An answer from memory, and which documents taught it.
 *
 * @param question without a context; its right answer is what is asked about
 * @param stating the documents that state the fact, by their place in the corpus, and how each does
 */
record TruthQuery(Question question, Map<Integer, Set<Form>> stating) {
  TruthQuery {
    stating = Map.copyOf(stating);
  }

  /** The question with its right answer. */
  Conversation answered() {
    return question.answered();
  }

  String fact() {
    return question.fact();
  }
}
