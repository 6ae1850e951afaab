package dev.whence.engine.text;

import dev.whence.conversation.Part;
import dev.whence.conversation.Span;
import java.util.List;
import java.util.Optional;

/**
 * A prompt as the model saw it, and where each part stands in it.
 *
 * @param text everything before the response, generation prompt included; a beginning-of-sequence
 *     token that the template writes is in it
 * @param segments the parts with text, in the order in which they stand in the text, which need not
 *     be that of the messages
 * @param endToken what the template emits right after an assistant's turn, as one token's text, or
 *     empty if there is none
 * @param reasoning where the response's reasoning stands in the text, without the tags and the
 *     white space around it; after all segments. Empty if the text has none
 */
public record RenderedPrompt(
    String text, List<Segment> segments, String endToken, Optional<Span> reasoning) {
  public RenderedPrompt {
    segments = List.copyOf(segments);
    for (Segment segment : segments) {
      if (reasoning.isPresent() && segment.rendered().end() > reasoning.get().start()) {
        throw new IllegalArgumentException(
            "a segment at " + segment.rendered() + " stands after the reasoning at " + reasoning);
      }
    }
  }

  /** A prompt without reasoning. */
  public RenderedPrompt(String text, List<Segment> segments, String endToken) {
    this(text, segments, endToken, Optional.empty());
  }

  /** The same behind another text, such as a begin token. */
  public RenderedPrompt behind(String before) {
    int by = before.length();
    return new RenderedPrompt(
        before + text,
        segments.stream().map(segment -> segment.shift(by)).toList(),
        endToken,
        reasoning.map(span -> span.shift(by)));
  }

  /**
   * Where a part stands.
   *
   * @param part the part
   * @param message index of its message
   * @param kept the range of the part's text that the template kept (templates trim), UTF-16
   * @param rendered where that range stands in the rendered text; same length as {@code kept},
   *     unless there are escapes
   * @param escapes of what was kept, where the template wrote it inside of JSON, as Llama 3.1's
   *     does with what tools return
   */
  public record Segment(Part part, int message, Span kept, Span rendered, Escapes escapes) {
    public Segment {
      if (rendered.length() != escapes.position(kept.length())) {
        throw new IllegalArgumentException(
            "what was kept, " + kept + ", can not stand at " + rendered);
      }
    }

    /** A part of which the text stands as it is. */
    public Segment(Part part, int message, Span kept, Span rendered) {
      this(part, message, kept, rendered, Escapes.NONE);
    }

    private Segment shift(int by) {
      return new Segment(part, message, kept, rendered.shift(by), escapes);
    }

    /** Position in the part's text to position in the rendered text; clamped to what was kept. */
    public int toRendered(int positionInPart) {
      int clamped = Math.min(Math.max(positionInPart, kept.start()), kept.end());
      return rendered.start() + escapes.position(clamped - kept.start());
    }
  }
}
