package dev.whence.samples;

import dev.whence.conversation.Span;
import java.util.ArrayList;
import java.util.List;

/**
 * What is answered: the first statement of the relation, about the subject that was asked for. An
 * answer that rests on two sentences names what it goes by way of, {@code Mandel, like Dorra, lives
 * in Kesta.} or {@code Mandel, or Friba, lives in Kesta.}: so each step of the way is one look at
 * the context.
 *
 * @param text {@code Mandel lives in Kesta.}
 * @param value where the value stands in it, {@code Kesta}
 * @param found what has to be found out, sorted: the name that it goes by way of, if there is one,
 *     and the value with the rest of the sentence
 */
public record Reply(String text, Span value, List<Span> found) {
  /** Before the name of a subject that has the same. */
  static final String LIKE = ", like ";

  /** Before an alias. */
  static final String OR = ", or ";

  public Reply {
    found = List.copyOf(found);
  }

  static Reply of(Fact asked, String value) {
    return of(asked, value, "", "");
  }

  /**
   * An answer by way of another name.
   *
   * @param link {@link #LIKE} or {@link #OR}
   * @throws IllegalArgumentException if the relation's first statement does not begin with its
   *     subject
   */
  static Reply of(Fact asked, String value, String link, String via) {
    String plain =
        Wording.statement(asked.with(value), asked.relation().statements().get(0)).text();
    List<Span> found = new ArrayList<>();
    String text = plain;
    if (!via.isEmpty()) {
      String subject = asked.subject().name();
      if (!plain.startsWith(subject + " ")) {
        throw new IllegalArgumentException("'" + plain + "' does not begin with its subject");
      }
      String way = subject + link + via;
      text = way + "," + plain.substring(subject.length());
      found.add(new Span(subject.length() + link.length(), way.length() + 1));
    }
    int start = text.lastIndexOf(value);
    found.add(new Span(start, text.length()));
    return new Reply(text, new Span(start, start + value.length()), found);
  }
}
