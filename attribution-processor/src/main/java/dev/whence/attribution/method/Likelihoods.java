package dev.whence.attribution.method;

import dev.whence.attribution.tokens.ReasoningTokens;
import dev.whence.attribution.tokens.TokenizedResponse;
import java.util.Arrays;
import java.util.OptionalDouble;

/**
 * What one reading's scored rows add up to, kept apart: the answer's and the reasoning's.
 *
 * @param byStatement of the response, nats
 * @param reasoning of the reasoning in the prompt, nats; empty if it has none
 */
@SuppressWarnings("ArrayRecordComponent") // compared nowhere
record Likelihoods(double[] byStatement, OptionalDouble reasoning) {
  /**
   * Sums up the rows of a reading: first those of the reasoning, then those of what closes it,
   * which count nowhere, then those of the response.
   *
   * @param reasoning where it stands in the prompt of this reading
   * @param logProbs of all tokens of prompt and response from the reasoning's first one on, nats
   */
  static Likelihoods of(ReasoningTokens reasoning, TokenizedResponse response, double[] logProbs) {
    OptionalDouble ofReasoning =
        reasoning.count() == 0
            ? OptionalDouble.empty()
            : OptionalDouble.of(Arrays.stream(logProbs, 0, reasoning.count()).sum());
    return new Likelihoods(response.byStatement(ofResponse(response, logProbs)), ofReasoning);
  }

  /** The last rows: those of the response. */
  static double[] ofResponse(TokenizedResponse response, double[] logProbs) {
    return Arrays.copyOfRange(logProbs, logProbs.length - response.length(), logProbs.length);
  }

  /** L(C) - L(C without something), nats. */
  Likelihoods minus(Likelihoods without) {
    double[] tau = new double[byStatement.length];
    for (int j = 0; j < tau.length; j++) {
      tau[j] = byStatement[j] - without.byStatement[j];
    }
    OptionalDouble ofReasoning =
        reasoning.isPresent() && without.reasoning.isPresent()
            ? OptionalDouble.of(reasoning.getAsDouble() - without.reasoning.getAsDouble())
            : OptionalDouble.empty();
    return new Likelihoods(tau, ofReasoning);
  }
}
