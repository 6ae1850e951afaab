package dev.whence.engine.training;

/**
 * A document to learn from. It is read by itself: packed beside others, it never sees them.
 *
 * @param tokens ids, at least two
 * @param lossWeights per token, how much the loss of predicting it from those before it counts; 0:
 *     not at all. The first token is never predicted, so its weight must be 0
 * @param teacherLosses per token, the loss in nats that another model has and that this one is to
 *     come to; {@link #GOES_ON} where the one before is the sum of both; NaN where the loss is to
 *     be as small as it can; empty: NaN everywhere
 */
@SuppressWarnings("ArrayRecordComponent") // compared nowhere
public record Example(int[] tokens, float[] lossWeights, float[] teacherLosses) {
  /** Says that a token and the one before have one teacher's loss together. */
  public static final float GOES_ON = Float.POSITIVE_INFINITY;

  public Example {
    if (tokens.length < 2 || tokens.length != lossWeights.length) {
      throw new IllegalArgumentException(
          "an example has at least two tokens and as many weights, not "
              + tokens.length
              + " and "
              + lossWeights.length);
    }
    if (lossWeights[0] != 0) {
      throw new IllegalArgumentException("nothing predicts the first token: its weight must be 0");
    }
    if (teacherLosses.length != 0 && teacherLosses.length != tokens.length) {
      throw new IllegalArgumentException(
          "a teacher has a loss for each of the "
              + tokens.length
              + " tokens, not "
              + teacherLosses.length);
    }
    for (int i = 0; i < teacherLosses.length; i++) {
      if (teacherLosses[i] == Float.NEGATIVE_INFINITY) {
        throw new IllegalArgumentException("the teacher's loss of token " + i + " is -Infinity");
      }
      if (teacherLosses[i] == GOES_ON
          && (i == 0
              || lossWeights[i - 1] == 0
              || lossWeights[i] == 0
              || Float.isNaN(teacherLosses[i - 1]))) {
        throw new IllegalArgumentException(
            "token " + i + " goes on with a token that no teacher has told a loss, or counts 0");
      }
    }
  }

  /** Without a teacher. */
  public Example(int[] tokens, float[] lossWeights) {
    this(tokens, lossWeights, new float[0]);
  }

  /**
   * The same, to be learnt from a teacher.
   *
   * @param losses of the teacher, see {@link #teacherLosses}
   */
  public Example taught(float[] losses) {
    return new Example(tokens, lossWeights, losses);
  }

  /** All tokens but the first count alike. */
  public static Example of(int... tokens) {
    float[] weights = new float[tokens.length];
    java.util.Arrays.fill(weights, 1, Math.max(1, tokens.length), 1f);
    return new Example(tokens, weights);
  }

  public int length() {
    return tokens.length;
  }
}
