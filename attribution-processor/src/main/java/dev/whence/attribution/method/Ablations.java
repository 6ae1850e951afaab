package dev.whence.attribution.method;

import dev.whence.attribution.tokens.AblatedPrompt;
import dev.whence.attribution.tokens.TokenizedPrompt;
import dev.whence.attribution.tokens.TokenizedResponse;
import dev.whence.conversation.Span;
import dev.whence.engine.Branch;
import dev.whence.engine.Scorer;
import dev.whence.engine.Trunk;
import dev.whence.engine.View;
import dev.whence.engine.WorkEstimate;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * L(C without some spans) for many choices of spans, as branches of one trunk.
 *
 * <p>With the KV cache a branch sees the trunk up to the first token that changes, view (0, a', 0),
 * and computes everything after it; without, it has no view and computes the whole ablated prompt.
 * Branches are built and scored in chunks of bounded size: thousands of readings of a long prompt
 * are never in memory at once.
 */
final class Ablations {
  /** Own tokens of the branches handed over at once: 2 MB of ids and positions. */
  private static final int CHUNK_TOKENS = 1 << 18;

  private static final View[] NO_VIEW = {};

  private final Scorer scorer;
  private final boolean cached;

  Ablations(Scorer scorer, boolean cached) {
    this.scorer = scorer;
    this.cached = cached;
  }

  /**
   * The log-likelihood of the response under one ablated prompt.
   *
   * @param byStatement nats; null if nothing was left of the prompt, so that the first token of the
   *     response can not be conditioned on anything
   * @param retokenized whether tokens outside the cut changed
   */
  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  record Outcome(double @Nullable [] byStatement, boolean retokenized) {}

  /**
   * Scores the response under each ablated prompt.
   *
   * @param trunk prompt and response
   * @param cuts what each reading leaves out: sorted and disjoint spans of the prompt's text
   * @return one outcome per choice of spans, in order
   */
  List<Outcome> score(
      Trunk trunk,
      TokenizedPrompt prompt,
      TokenizedResponse response,
      List<List<Span>> cuts,
      Meter meter) {
    List<Outcome> outcomes = new ArrayList<>(cuts.size());
    double[] unchanged = response.byStatement(trunk.logProbs());
    List<Branch> chunk = new ArrayList<>();
    List<Pending> pending = new ArrayList<>();
    int chunkTokens = 0;
    for (List<Span> cut : cuts) {
      if (cut.stream().allMatch(Span::isEmpty)) {
        pending.add(new Pending(unchanged, false));
        continue;
      }
      AblatedPrompt ablated = prompt.without(cut);
      if (ablated.ids().length == 0) {
        pending.add(new Pending(null, false));
        continue;
      }
      Branch branch = branch(ablated, response);
      chunk.add(branch);
      pending.add(new Pending(null, true, ablated.retokenized()));
      chunkTokens += branch.tokens().length;
      if (chunkTokens >= CHUNK_TOKENS) {
        flush(trunk, response, chunk, pending, outcomes, meter);
        chunkTokens = 0;
      }
    }
    flush(trunk, response, chunk, pending, outcomes, meter);
    return outcomes;
  }

  /** An outcome that is known already, or whose branch waits in the chunk. */
  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  private record Pending(double @Nullable [] known, boolean branched, boolean retokenized) {
    Pending(double @Nullable [] known, boolean branched) {
      this(known, branched, false);
    }
  }

  private void flush(
      Trunk trunk,
      TokenizedResponse response,
      List<Branch> chunk,
      List<Pending> pending,
      List<Outcome> outcomes,
      Meter meter) {
    List<double[]> scored = chunk.isEmpty() ? List.of() : scorer.score(trunk, chunk);
    meter.ranBranches(scorer, trunk, chunk);
    int next = 0;
    for (Pending one : pending) {
      double[] byStatement =
          one.branched() ? response.byStatement(scored.get(next++)) : one.known();
      outcomes.add(new Outcome(byStatement, one.retokenized()));
    }
    chunk.clear();
    pending.clear();
  }

  private Branch branch(AblatedPrompt ablated, TokenizedResponse response) {
    int[] ids = ablated.ids();
    // The row of the prompt's last token gives the response's first probability: never shared.
    int shared = cached ? Math.min(ablated.sharedPrefix(), ids.length - 1) : 0;
    int own = ids.length - shared;
    int[] tokens = new int[own + response.length()];
    System.arraycopy(ids, shared, tokens, 0, own);
    System.arraycopy(response.ids(), 0, tokens, own, response.length());
    return at(shared, tokens, own);
  }

  private static Branch at(int shared, int[] tokens, int scoredFrom) {
    int[] positions = new int[tokens.length];
    for (int i = 0; i < positions.length; i++) {
      positions[i] = shared + i;
    }
    View[] views = shared == 0 ? NO_VIEW : new View[] {new View(0, shared, 0)};
    return new Branch(List.of(views), tokens, positions, scoredFrom);
  }

  /**
   * A reading as an estimate knows it.
   *
   * @param shared leading tokens of the prompt that stay
   * @param length tokens of the ablated prompt
   */
  record Shape(int shared, int length) {}

  /** What a trunk and branches of some shapes would cost; their chunks are bounded as above. */
  WorkEstimate estimate(int trunkTokens, int responseTokens, List<Shape> shapes) {
    WorkEstimate trunkAlone = scorer.estimate(trunkTokens, responseTokens, List.of());
    WorkEstimate total = trunkAlone;
    List<Branch> chunk = new ArrayList<>();
    int chunkTokens = 0;
    for (Shape shape : shapes) {
      int length = Math.max(1, shape.length());
      int shared = cached ? Math.min(shape.shared(), length - 1) : 0;
      Branch branch = at(shared, new int[length - shared + responseTokens], length - shared);
      chunk.add(branch);
      chunkTokens += branch.tokens().length;
      if (chunkTokens >= CHUNK_TOKENS) {
        total = total.plus(branchesAlone(trunkTokens, responseTokens, chunk, trunkAlone));
        chunk.clear();
        chunkTokens = 0;
      }
    }
    if (!chunk.isEmpty()) {
      total = total.plus(branchesAlone(trunkTokens, responseTokens, chunk, trunkAlone));
    }
    return total;
  }

  private WorkEstimate branchesAlone(
      int trunkTokens, int responseTokens, List<Branch> chunk, WorkEstimate trunkAlone) {
    WorkEstimate both = scorer.estimate(trunkTokens, responseTokens, chunk);
    return new WorkEstimate(
        both.tokens() - trunkAlone.tokens(),
        both.flops() - trunkAlone.flops(),
        both.seconds() - trunkAlone.seconds());
  }
}
