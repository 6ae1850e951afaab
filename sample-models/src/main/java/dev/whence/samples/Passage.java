package dev.whence.samples;

import dev.whence.conversation.Span;
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
}
