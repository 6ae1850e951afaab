package dev.whence.engine.training;

import java.util.List;

/**
 * What a model in training makes of a set of questions.
 *
 * @param questions how many
 * @param exact how many are answered right: the whole answer is the most probable one, token by
 *     token, which is what greedy generation would say
 * @param nats the loss of all that counts of the right answers
 * @param tokens how many count
 */
public record Score(int questions, int exact, double nats, double tokens) {
  /** Of no question. */
  public static final Score NONE = new Score(0, 0, 0, 0);

  /**
   * Measures a model as it is.
   *
   * @param examples in which only what is to be answered has a weight
   */
  public static Score of(Trainer trainer, List<Example> examples) {
    int right = 0;
    for (boolean exact : trainer.exact(examples)) {
      right += exact ? 1 : 0;
    }
    double nats = 0;
    for (double loss : trainer.losses(examples)) {
      nats += loss;
    }
    double tokens = 0;
    for (Example example : examples) {
      for (float weight : example.lossWeights()) {
        tokens += weight;
      }
    }
    return new Score(examples.size(), right, nats, tokens);
  }

  /** Share of right answers; NaN of no question. */
  public double share() {
    return (double) exact / questions;
  }

  /** Nats per token; NaN of no question. */
  public double loss() {
    return nats / tokens;
  }

  /** Of two sets of questions together. */
  public Score plus(Score other) {
    return new Score(
        questions + other.questions, exact + other.exact, nats + other.nats, tokens + other.tokens);
  }
}
