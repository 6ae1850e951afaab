package dev.whence.samples.recipes;

import dev.whence.conversation.Span;
import dev.whence.engine.text.Encoding;
import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.training.Example;
import dev.whence.samples.TrainingText;
import java.util.List;

/**
 * How much the loss of a token counts, by where it stands in a text.
 *
 * @param text outside questions and answers
 * @param question in a question
 * @param lead in an answer, before the value
 * @param answer in an answer, from the value on
 */
public record TokenWeights(float text, float question, float lead, float answer) {
  /** A text as an example. */
  Example example(TrainingText training, Tokenizer tokenizer) {
    Encoding encoding = tokenizer.encode(training.text());
    float[] weights = new float[encoding.length()];
    int answers = 0;
    int leads = 0;
    int questions = 0;
    for (int i = 1; i < weights.length; i++) {
      int start = encoding.starts()[i];
      answers = next(training.answers(), answers, start);
      leads = next(training.leads(), leads, start);
      questions = next(training.questions(), questions, start);
      if (covers(training.answers(), answers, encoding.ends()[i])) {
        weights[i] = answer;
      } else if (covers(training.leads(), leads, encoding.ends()[i])) {
        weights[i] = lead;
      } else if (covers(training.questions(), questions, encoding.ends()[i])) {
        weights[i] = question;
      } else {
        weights[i] = text;
      }
    }
    return new Example(encoding.ids(), weights);
  }

  /** The first span from {@code at} on that does not end before a token starts. */
  private static int next(List<Span> spans, int at, int start) {
    int next = at;
    while (next < spans.size() && spans.get(next).end() <= start) {
      next++;
    }
    return next;
  }

  private static boolean covers(List<Span> spans, int at, int end) {
    return at < spans.size() && spans.get(at).start() < end;
  }
}
