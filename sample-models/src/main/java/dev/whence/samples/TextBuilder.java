package dev.whence.samples;

import dev.whence.conversation.Span;
import java.util.ArrayList;
import java.util.List;

/** Puts a training text together and notes where everything stands. */
final class TextBuilder {
  static final String QUESTION = "Question: ";
  static final String ANSWER = "Answer: ";
  static final String BETWEEN_DOCUMENTS = "\n\n";

  private final StringBuilder text = new StringBuilder();
  private final List<Span> sentences = new ArrayList<>();
  private final List<Span> questions = new ArrayList<>();
  private final List<Span> leads = new ArrayList<>();
  private final List<Span> answers = new ArrayList<>();

  TextBuilder append(String plain) {
    text.append(plain);
    return this;
  }

  /** Sentences of one document, joined by one space. */
  TextBuilder document(List<Sentence> document) {
    for (int i = 0; i < document.size(); i++) {
      if (i > 0) {
        text.append(' ');
      }
      sentences.add(add(document.get(i).text()));
    }
    return this;
  }

  /** One document of a context. */
  TextBuilder passage(Passage passage) {
    int start = text.length();
    passage.sentences().forEach(span -> sentences.add(span.shift(start)));
    text.append(passage.text());
    return this;
  }

  TextBuilder question(String question) {
    questions.add(add(QUESTION + question));
    return this;
  }

  /**
   * An answer.
   *
   * @param end of its turn, which is learnt with the value
   */
  TextBuilder answer(Reply reply, String end) {
    int at = 0;
    for (int i = 0; i < reply.found().size(); i++) {
      Span found = reply.found().get(i);
      String lead = reply.text().substring(at, found.start());
      append(" ".repeat(lead.length() - lead.stripLeading().length()));
      leads.add(add(lead.strip()));
      append(" ".repeat(lead.length() - lead.stripTrailing().length()));
      boolean last = i == reply.found().size() - 1;
      answers.add(add(reply.text().substring(found.start(), found.end()) + (last ? end : "")));
      at = found.end();
    }
    return this;
  }

  /** A question and its answer on two lines, as one sentence. */
  TextBuilder questionAndAnswer(String question, Reply reply) {
    int start = text.length();
    question(question).append("\n" + ANSWER).answer(reply, "");
    sentences.add(new Span(start, text.length()));
    return append("\n");
  }

  private Span add(String piece) {
    int start = text.length();
    text.append(piece);
    return new Span(start, text.length());
  }

  List<Span> sentences() {
    return sentences;
  }

  TrainingText build() {
    return new TrainingText(text.toString(), questions, leads, answers);
  }
}
