package dev.whence.attribution;

import dev.whence.attribution.source.Source;
import dev.whence.conversation.Span;

/**
 * Where a source stands: the same for every scorer, whatever its template trims.
 *
 * @param segment id of the part
 * @param span range of the part's text, UTF-16 code units
 */
public record SourcePlace(String segment, Span span) {
  static SourcePlace of(Source source) {
    return new SourcePlace(source.segment(), source.span());
  }
}
