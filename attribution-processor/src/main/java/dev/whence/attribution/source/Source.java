package dev.whence.attribution.source;

import dev.whence.conversation.Span;

/**
 * A span of the prompt that is scored by leaving it out.
 *
 * @param segment id of the part it stands in
 * @param span range of the part's text, UTF-16 code units; the same for every model
 * @param text the source's text
 * @param rendered what is deleted from the rendered prompt: the text without the white space that
 *     the template trims at either end of a message; empty where it trimmed the source away
 * @param paragraph index, over the whole prompt, of the paragraph it belongs to; not decreasing
 */
public record Source(String segment, Span span, String text, Span rendered, int paragraph) {
  /** The same source at another place of the rendered prompt. */
  public Source withRendered(Span other) {
    return new Source(segment, span, text, other, paragraph);
  }
}
