package dev.whence.conversation;

import java.util.List;

/**
 * One piece of a message. The texts of a message's parts are concatenated as they stand, so any
 * prompt can be reproduced to the byte.
 *
 * @param kind what the part is there for
 * @param id the segment's name, unique within a conversation; {@code m<message>.p<part>} by default
 * @param title of the document, or empty
 * @param uri of the document, or empty
 * @param trust who vouches for the text
 * @param text as it went into the prompt; empty for {@link PartKind#MEDIA}
 * @param attributable whether its text may be a source, after defaults and overrides
 * @param sources the caller's own sources as ranges of {@code text}: sorted, disjoint, not through
 *     a surrogate pair; empty leaves the choice to the partitioner
 */
public record Part(
    PartKind kind,
    String id,
    String title,
    String uri,
    Trust trust,
    String text,
    boolean attributable,
    List<Span> sources) {

  public Part {
    sources = List.copyOf(sources);
    if (id.isEmpty()) {
      throw new IllegalArgumentException("a part has an empty id");
    }
    int last = 0;
    for (Span span : sources) {
      if (span.end() > text.length()) {
        throw new IllegalArgumentException(
            "a span of sources, ["
                + span.start()
                + ", "
                + span.end()
                + ") ends after the text, which has "
                + text.length()
                + " UTF-16 code units");
      }
      if (span.isEmpty() || span.start() < last) {
        throw new IllegalArgumentException(
            "a span of sources, ["
                + span.start()
                + ", "
                + span.end()
                + ") is empty, unsorted or overlaps the one before");
      }
      if (splitsSurrogates(text, span.start()) || splitsSurrogates(text, span.end())) {
        throw new IllegalArgumentException(
            "a span of sources, ["
                + span.start()
                + ", "
                + span.end()
                + ") cuts through a surrogate pair");
      }
      last = span.end();
    }
  }

  /** A part without title, uri or spans of its own, attributable as its kind says. */
  public static Part of(PartKind kind, String id, String text) {
    return new Part(kind, id, "", "", Trust.UNKNOWN, text, kind.attributableByDefault(), List.of());
  }

  private static boolean splitsSurrogates(String text, int at) {
    return at > 0
        && at < text.length()
        && Character.isLowSurrogate(text.charAt(at))
        && Character.isHighSurrogate(text.charAt(at - 1));
  }
}
