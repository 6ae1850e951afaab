package dev.whence.attribution;

import dev.whence.conversation.Span;
import dev.whence.engine.ScorerDescription;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import org.jspecify.annotations.Nullable;

/**
 * Where a response came from, as one scorer saw it. The JSON and Avro forms have the same names and
 * units; log-likelihoods and tau are in nats and never NaN.
 *
 * @param responseId which response
 * @param status how it ended
 * @param reasonCode stable code in upper case, empty for a plain SCORED
 * @param reason one sentence, empty for a plain SCORED; never holds user text
 * @param method "exact-loo", "naive-loo", "hierarchical", ...
 * @param scorer who scored; null where nothing was loaded or tried
 * @param surrogate whether the scorer stands in for a production model that is not among its
 *     aliases
 * @param promptTokens length of the prompt in tokens, as it was scored
 * @param responseTokens tokens scored, the end token included if it was
 * @param endTokenScored whether the end token was scored
 * @param logLikelihood L(C)
 * @param logLikelihoodWithoutContext L(no attributable context)
 * @param noiseFloor |tau| below this is numerical noise for the dtype of who scored, the larger one
 *     where two did, nats
 * @param reasoning what a reasoning model thought before it answered, scored apart; the answer's
 *     numbers are given it and hold nothing of it. Empty if the prompt has none
 * @param sources in order of the prompt
 * @param leftOut sources that have no score, since the prompt is past the model's window and was
 *     shortened by them, in order of the prompt
 * @param groups sources that say nearly the same, with what all of them together are worth
 * @param statements of the response, in order
 * @param matrix tau[source][statement]; rows sum to the sources' tau
 * @param tokens per-token log-probabilities under the full prompt
 * @param flags notes in upper case, for example NO_SOURCES_DECLARED, SPECIAL_TOKEN_IN_SEGMENT
 * @param retokenizedBranches branches whose kept tokens changed at a cut
 * @param truncated whether texts, matrix or sources were dropped to fit a limit
 * @param cost what it cost
 */
public record AttributionResult(
    String responseId,
    AttributionStatus status,
    String reasonCode,
    String reason,
    String method,
    @Nullable ScorerDescription scorer,
    boolean surrogate,
    int promptTokens,
    int responseTokens,
    boolean endTokenScored,
    OptionalDouble logLikelihood,
    OptionalDouble logLikelihoodWithoutContext,
    OptionalDouble noiseFloor,
    Optional<Reasoning> reasoning,
    List<SourceScore> sources,
    List<SourcePlace> leftOut,
    List<SourceGroup> groups,
    List<Statement> statements,
    List<List<Double>> matrix,
    List<TokenScore> tokens,
    List<String> flags,
    int retokenizedBranches,
    boolean truncated,
    Cost cost) {

  public AttributionResult {
    sources = List.copyOf(sources);
    leftOut = List.copyOf(leftOut);
    groups = List.copyOf(groups);
    statements = List.copyOf(statements);
    matrix = matrix.stream().map(List::copyOf).toList();
    tokens = List.copyOf(tokens);
    flags = List.copyOf(flags);
  }

  /** Groundedness = L(C) - L(no attributable context), nats. */
  public OptionalDouble groundedness() {
    return logLikelihood.isEmpty()
        ? OptionalDouble.empty()
        : difference(logLikelihood.getAsDouble(), logLikelihoodWithoutContext);
  }

  private static OptionalDouble difference(double full, OptionalDouble without) {
    return without.isEmpty()
        ? OptionalDouble.empty()
        : OptionalDouble.of(full - without.getAsDouble());
  }

  /** Groundedness divided by the number of scored tokens, nats per token. */
  public OptionalDouble groundednessPerToken() {
    OptionalDouble whole = groundedness();
    return whole.isEmpty() || responseTokens == 0
        ? whole
        : OptionalDouble.of(whole.getAsDouble() / responseTokens);
  }

  /**
   * The reasoning of a reasoning model, as if it had been the response. The tag that closes it is
   * not scored.
   *
   * @param tokens scored, at least 1
   * @param logLikelihood L(C) of the reasoning, nats
   * @param logLikelihoodWithoutContext L(no attributable context) of the reasoning, nats
   * @param noiseFloor |reasoningTau| below this is numerical noise for this scorer's dtype, nats
   */
  public record Reasoning(
      int tokens,
      double logLikelihood,
      OptionalDouble logLikelihoodWithoutContext,
      double noiseFloor) {
    /** Of the reasoning alone: L(C) - L(no attributable context), nats. */
    public OptionalDouble groundedness() {
      return difference(logLikelihood, logLikelihoodWithoutContext);
    }

    /** Divided by the number of tokens, nats per token. */
    public OptionalDouble groundednessPerToken() {
      OptionalDouble whole = groundedness();
      return whole.isEmpty() ? whole : OptionalDouble.of(whole.getAsDouble() / tokens);
    }
  }

  /**
   * One source and its leave-one-out score.
   *
   * @param segment id of the part
   * @param span range of the part's text, UTF-16 code units
   * @param text the source's text
   * @param tau L(C) - L(C without the source) of the response, nats
   * @param reasoningTau the same of the reasoning, nats; empty if none is scored, or the method
   *     does not say it. What {@code exact}, {@code method}, {@code scorer} and {@code context} say
   *     holds for it, too
   * @param exact whether tau is exact LOO on the full context by {@code scorer}
   * @param method that gave tau
   * @param scorer model that gave tau
   * @param context "full" or "pruned"
   */
  public record SourceScore(
      String segment,
      Span span,
      String text,
      double tau,
      OptionalDouble reasoningTau,
      boolean exact,
      String method,
      String scorer,
      String context) {
    /** Measured in the whole context. */
    public static final String FULL = "full";

    /** Measured in a context of which less promising sources had been left out. */
    public static final String PRUNED = "pruned";

    /** A source of a response without reasoning. */
    public SourceScore(
        String segment,
        Span span,
        String text,
        double tau,
        boolean exact,
        String method,
        String scorer,
        String context) {
      this(segment, span, text, tau, OptionalDouble.empty(), exact, method, scorer, context);
    }
  }

  /**
   * A statement (sentence) of the response.
   *
   * @param span range of the response, UTF-16 code units
   * @param logLikelihood sum over its tokens under the full prompt, nats
   */
  public record Statement(Span span, double logLikelihood) {}

  /**
   * A token of the response.
   *
   * @param span range of the response, UTF-16 code units; empty at the end for the end token
   * @param logProb nats
   */
  public record TokenScore(Span span, double logProb) {}

  /**
   * Sources that say nearly the same: each alone is worth little, since the others make up for it.
   *
   * @param sources their indices in {@link #sources}, in order
   * @param tau of all of them, left out at once: exact, on the full context, nats
   * @param reasoningTau the same of the reasoning, nats; empty if none is scored
   */
  public record SourceGroup(List<Integer> sources, double tau, OptionalDouble reasoningTau) {
    public SourceGroup {
      sources = List.copyOf(sources);
    }

    /** Of a response without reasoning. */
    public SourceGroup(List<Integer> sources, double tau) {
      this(sources, tau, OptionalDouble.empty());
    }
  }

  /**
   * What the result cost.
   *
   * @param trunkTokens tokens that the scorer ran to build trunks
   * @param branchTokens own tokens of all its branches
   * @param passes (trunk + branch tokens) / (prompt + response tokens); what a proxy spent is
   *     added, as its operations over those of one pass
   * @param seconds wall time
   * @param flops floating point operations, a proxy's included
   */
  public record Cost(
      long trunkTokens, long branchTokens, double passes, double seconds, double flops) {
    public static final Cost NONE = new Cost(0, 0, 0, 0, 0);
  }
}
