package dev.whence.engine;

/**
 * What can be read inside a model while it reads a sequence, by groups of tokens: attention, hidden
 * states, gradients. The baselines of context attribution rank sources by these.
 *
 * <p>{@code groupOf} has a group for each token of the sequence, in [0, groups]; tokens of group
 * {@code groups} are counted nowhere.
 */
public interface Introspection {
  /**
   * Attention to groups of tokens, mean over heads and layers. Own attention of the rows that are
   * read, from the one before the first scored token on, is in no group.
   *
   * <p>Cost: S + 1 tokens over the trunk.
   *
   * @param trunk whose S scored tokens look back
   * @return [S][groups]: of the row that predicts a scored token, how much falls on a group
   */
  double[][] attention(Trunk trunk, int[] groupOf, int groups);

  /**
   * Means of the hidden states after the last norm.
   *
   * <p>Cost: T tokens.
   *
   * @return [groups][d]; zero for a group without a token
   */
  double[][] meanStates(int[] tokens, int[] groupOf, int groups);

  /**
   * How the log-likelihood of the tokens from {@code scoredFrom} on depends on the embeddings of
   * groups of tokens, in fp32 whatever the scorer's dtype.
   *
   * <pre>
   *   g_jt = d L_j / d e_t,  L_j = sum over the scored tokens i of part j of log p(token i)
   *   result[j][k] = sum over the tokens t of group k of  g_jt . (sum over all parts of g_.t)
   * </pre>
   *
   * Summed over the parts it is the squared Euclidean norm of the gradient of the whole
   * log-likelihood.
   *
   * <p>Cost: a forward and, for each part, a backward of T tokens with the activations of all
   * layers in memory; the weights are loaded a second time at the first call.
   *
   * @param partOf part of each scored token, in [0, parts)
   * @return [parts][groups], nats squared per unit of embedding squared
   */
  double[][] embeddingGradients(
      int[] tokens, int scoredFrom, int[] partOf, int parts, int[] groupOf, int groups);

  /** What {@link #meanStates} costs. */
  WorkEstimate estimateStates(int tokens);

  /** What {@link #embeddingGradients} costs: the tokens of its forward and of each backward. */
  WorkEstimate estimateGradients(int tokens, int scored, int parts);
}
