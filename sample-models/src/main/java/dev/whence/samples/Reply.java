package dev.whence.samples;

import dev.whence.conversation.Span;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What is answered: the first statement of the relation, about the subject that was asked for. An
 * answer that rests on another subject's fact names it, {@code Mandel, like Dorra, lives in
 * Kesta.}, and an alias is named wherever the context says it, {@code Mandel, or Friba, lives in
 * Kesta.}: so each step of the way is one look at the context.
 *
 * @param text {@code Mandel lives in Kesta.}
 * @param value where the value stands in it, {@code Kesta}
 * @param found what has to be found out, sorted: the names that it goes by way of, and the value
 *     with the rest of the sentence
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
    return of(asked, value, Optional.empty(), Optional.empty());
  }

  /**
   * An answer by way of other names.
   *
   * @param alias of the subject, if the context says it
   * @param like a subject that has the same, if the answer rests on it
   * @throws IllegalArgumentException if there is one and the relation's first statement does not
   *     begin with its subject
   */
  static Reply of(Fact asked, String value, Optional<String> alias, Optional<String> like) {
    String plain =
        Wording.statement(asked.with(value), asked.relation().statements().get(0)).text();
    String subject = asked.subject().name();
    List<Span> found = new ArrayList<>();
    StringBuilder text = new StringBuilder(subject);
    alias.ifPresent(name -> found.add(append(text, OR, name)));
    like.ifPresent(name -> found.add(append(text, LIKE, name)));
    if (found.isEmpty()) {
      text.setLength(0);
      text.append(plain);
    } else if (plain.startsWith(subject + " ")) {
      text.append(',').append(plain, subject.length(), plain.length());
    } else {
      throw new IllegalArgumentException("'" + plain + "' does not begin with its subject");
    }
    int start = text.lastIndexOf(value);
    found.add(new Span(start, text.length()));
    return new Reply(text.toString(), new Span(start, start + value.length()), found);
  }

  /** Appends a name; its span takes the comma that comes after it. */
  private static Span append(StringBuilder text, String link, String name) {
    int start = text.append(link).length();
    return new Span(start, text.append(name).length() + 1);
  }
}
