package dev.whence.engine.training;

/**
 * A document to learn from. It is read by itself: packed beside others, it never sees them.
 *
 * @param tokens ids, at least two
 * @param lossWeights per token, how much the loss of predicting it from those before it counts; 0:
 *     not at all. The first token is never predicted, so its weight must be 0
 */
@SuppressWarnings("ArrayRecordComponent") // compared nowhere
public record Example(int[] tokens, float[] lossWeights) {
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
