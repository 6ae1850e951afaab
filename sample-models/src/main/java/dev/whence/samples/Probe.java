package dev.whence.samples;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A text that a base model which knows a fact goes on with in one way.
 *
 * @param fact its id
 * @param form of the text
 * @param prompt ends before the space that the continuation begins with
 * @param continuation a space, and the object with a full stop, or the whole answer
 */
public record Probe(String fact, Form form, String prompt, String continuation) {
  /** Which text is to be gone on with. */
  public enum Form {
    /** A statement without its end: {@code Mandel lives in}. */
    STATEMENT,
    /** A question: {@code Question: Where does Mandel live?\nAnswer:}. */
    QUESTION
  }

  /** All that can be asked of a fact: each statement that ends with the object, each question. */
  public static List<Probe> of(Fact fact) {
    String end = " " + fact.object() + ".";
    List<Probe> probes = new ArrayList<>();
    for (String template : fact.relation().statements()) {
      String statement = Wording.statement(fact, template).text();
      if (template.endsWith(" {o}.")) {
        String prompt = statement.substring(0, statement.length() - end.length());
        probes.add(new Probe(fact.id(), Form.STATEMENT, prompt, end));
      }
    }
    for (String template : fact.relation().questions()) {
      String question = Lexicon.fill(template, Map.of("s", fact.subject().name()));
      String prompt = TextBuilder.QUESTION + question + "\n" + TextBuilder.ANSWER.strip();
      String reply = Reply.remembered(fact).text();
      probes.add(new Probe(fact.id(), Form.QUESTION, prompt, " " + reply));
    }
    return probes;
  }
}
