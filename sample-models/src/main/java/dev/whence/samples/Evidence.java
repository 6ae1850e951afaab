package dev.whence.samples;

import dev.whence.conversation.Span;

/**
 * A sentence of a context that matters for a question.
 *
 * @param part id of the passage, and of the conversation's part
 * @param span of the sentence in the part's text, in UTF-16 code units
 * @param sentence its index among all sentences of the context, from 0
 */
public record Evidence(String part, Span span, int sentence) {}
