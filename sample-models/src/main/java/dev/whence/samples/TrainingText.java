package dev.whence.samples;

import dev.whence.conversation.Span;
import java.util.List;

/**
 * A text to train on, and where in it questions and answers stand, so that a loss can weigh them.
 * Spans are in UTF-16 code units and without white space at their ends; a token belongs to a span
 * if it overlaps it (byte-level tokens begin with the space before a word).
 *
 * @param text without the token that separates documents
 * @param questions from {@code Question:} to the question mark, sorted
 * @param leads what answers say besides; sorted
 * @param answers what answers find out, see {@link Reply#found}, and in ChatML the end of the turn;
 *     sorted
 */
public record TrainingText(
    String text, List<Span> questions, List<Span> leads, List<Span> answers) {
  public TrainingText {
    questions = List.copyOf(questions);
    leads = List.copyOf(leads);
    answers = List.copyOf(answers);
  }
}
