package dev.whence.transfer.recycle;

import dev.whence.engine.training.Score;

/**
 * How well a model does at a step of its training.
 *
 * @param step 0: before any
 * @param loss nats per token, of the right answers
 * @param exact how many questions are answered right, to the letter
 * @param questions how many were asked
 */
public record Measurement(long step, double loss, int exact, int questions) {
  /** What a model in training made of its questions. */
  public static Measurement of(long step, Score score) {
    return new Measurement(step, score.loss(), score.exact(), score.questions());
  }

  /** Share of right answers. */
  public double share() {
    return (double) exact / questions;
  }

  /** The same of another step. */
  Measurement at(long other) {
    return new Measurement(other, loss, exact, questions);
  }
}
