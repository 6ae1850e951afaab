package dev.whence.samples;

import dev.whence.conversation.Span;
import java.util.ArrayList;
import java.util.List;

/**
 * What is answered: the sentences that say it, word by word and in the order of the argument, or,
 * where no context says it, the first statement of the relation.
 *
 * <pre>
 *   Mandel has a house in Kesta.
 *   Mandel is also known as Friba. Friba has a house in Kesta.
 *   Mandel is a neighbour of Dorra. Dorra has a house in Kesta.
 * </pre>
 *
 * <p>So each step of the way is one look at the context: for what it says next about the name at
 * hand.
 *
 * @param text all of it
 * @param value where the value stands in it, {@code Kesta}
 * @param found what has to be found out, sorted: the names that it goes by way of, and the value,
 *     each with the rest of its sentence
 */
public record Reply(String text, Span value, List<Span> found) {
  public Reply {
    found = List.copyOf(found);
  }

  /** An answer from memory. */
  static Reply remembered(Fact fact) {
    return quoting(
        List.of(Wording.statement(fact, fact.relation().statements().get(0))), fact.object());
  }

  /**
   * An answer that a context gives.
   *
   * @param evidence a statement of the value; before it what leads there, in this order
   * @throws IllegalArgumentException if a sentence does not say what the next one needs
   */
  static Reply quoting(List<Sentence> evidence, String value) {
    StringBuilder text = new StringBuilder();
    List<Span> found = new ArrayList<>();
    Span last = new Span(0, 0);
    for (Sentence sentence : evidence) {
      text.append(text.isEmpty() ? "" : " ");
      int from = text.length();
      text.append(quoted(sentence));
      String gives = gives(sentence, value);
      int start = text.lastIndexOf(gives);
      if (start < from) {
        throw new IllegalArgumentException(
            "'" + sentence.text() + "' does not say '" + gives + "'");
      }
      last = new Span(start, start + gives.length());
      found.add(new Span(start, text.length()));
    }
    return new Reply(text.toString(), last, found);
  }

  /** An injection's statement is believed, its instruction is not repeated. */
  private static String quoted(Sentence sentence) {
    return sentence instanceof Sentence.Injection injection
        ? injection.statement().text()
        : sentence.text();
  }

  private static String gives(Sentence sentence, String value) {
    if (sentence instanceof Sentence.Link link) {
      return link.person().alias();
    }
    return sentence instanceof Sentence.Hop hop ? hop.via().name() : value;
  }
}
