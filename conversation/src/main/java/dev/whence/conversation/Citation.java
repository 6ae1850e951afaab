package dev.whence.conversation;

/**
 * A place in the response that the application or the model says rests on a segment.
 *
 * @param segment id of the cited part
 * @param span positions in the response, UTF-16 code units
 */
public record Citation(String segment, Span span) {}
