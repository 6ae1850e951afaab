package dev.whence.quickstart;

import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationCodec;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.InstantSource;
import java.util.List;
import java.util.Optional;

/**
 * The questions that ship with the quickstart, asked over and over and answered by the model, as an
 * application with this model would. One is on its way at a time: on one machine, answering the
 * next one would only take the processor's cores away.
 */
final class AnsweredQuestions implements Traffic {
  private static final String SAMPLES = "samples/qa-24.jsonl";
  private static final int MAX_NEW_TOKENS = 48;

  private final SharedModel model;
  private final InstantSource clock;
  private final String run;
  private final List<Conversation> questions;
  private int asked;

  /**
   * @param clock for the time of an answer, and for the name of this run in response ids
   */
  AnsweredQuestions(SharedModel model, InstantSource clock) {
    this.model = model;
    this.clock = clock;
    this.run = Long.toString(clock.millis(), Character.MAX_RADIX);
    this.questions = questions();
  }

  static List<Conversation> questions() {
    try (InputStream samples = AnsweredQuestions.class.getResourceAsStream(SAMPLES)) {
      if (samples == null) {
        throw new IllegalStateException("the resource " + SAMPLES + " is not on the class path");
      }
      return new String(samples.readAllBytes(), StandardCharsets.UTF_8)
          .lines()
          .map(ConversationCodec::readPrompt)
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  public Optional<Conversation> next() {
    Conversation question = questions.get(asked % questions.size());
    int round = asked / questions.size() + 1;
    asked++;
    // Before it is answered: templates may write the date.
    Conversation now =
        question.toBuilder()
            .responseId(question.responseId() + "-" + run + "-" + round)
            .occurredAt(clock.instant())
            .build();
    return Optional.of(model.answer(now, MAX_NEW_TOKENS));
  }

  @Override
  public int inFlight() {
    return 1;
  }

  @Override
  public String activity() {
    return "answering question " + (asked % questions.size() + 1) + " of " + questions.size();
  }

  @Override
  public void close() {
    // nothing to give back: the model is its owner's to close
  }
}
