package dev.whence.samples;

import dev.whence.conversation.Span;
import java.util.ArrayList;
import java.util.List;

/**
 * A document of a context.
 *
 * @param id unique in the context: {@code doc-1} and so on
 * @param text its sentences, joined by one space
 * @param sentences where each stands in the text
 */
public record Passage(String id, String text, List<Span> sentences) {
  public Passage {
    sentences = List.copyOf(sentences);
  }

  /** The same without a sentence and the white space after it. */
  Passage without(int index) {
    int start = sentences.get(index).start();
    boolean last = index == sentences.size() - 1;
    int end = last ? text.length() : sentences.get(index + 1).start();
    List<Span> others = new ArrayList<>(sentences.subList(0, index));
    for (Span after : sentences.subList(index + 1, sentences.size())) {
      others.add(after.shift(start - end));
    }
    return new Passage(id, text.substring(0, start) + text.substring(end), others);
  }
}
