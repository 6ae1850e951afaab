package dev.whence.attribution.method;

import dev.whence.attribution.tokens.AblatedPrompt;
import dev.whence.attribution.tokens.ReasoningTokens;
import dev.whence.attribution.tokens.TokenizedPrompt;
import dev.whence.attribution.tokens.TokenizedResponse;
import dev.whence.conversation.Span;
import dev.whence.engine.Branch;
import dev.whence.engine.Scorer;
import dev.whence.engine.Trunk;
import dev.whence.engine.WorkEstimate;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * L(C without some spans) for many choices of spans, as branches of one trunk.
 *
 * <p>What a branch takes over from the trunk is the method's choice, see {@link Reuse}. Branches
 * are built and scored in chunks of bounded size: thousands of readings of a long prompt are never
 * in memory at once. What they share with the trunk is not in them, and a scorer that needs whole
 * prompts builds few of them at a time.
 */
final class Ablations {
  /** Own tokens of the branches handed over at once: 2 MB of ids and positions. */
  private static final int CHUNK_TOKENS = 1 << 18;

  /** Branches that an estimate lays out. */
  private static final int MOST_LOOKED_AT = 512;

  private final Scorer scorer;

  Ablations(Scorer scorer) {
    this.scorer = scorer;
  }

  /**
   * What one reading leaves out.
   *
   * @param reuse what it takes over from the trunk
   * @param spans sorted and disjoint spans of the prompt's text
   */
  record Cut(Reuse reuse, List<Span> spans) {
    /** Of several readings that take over the same. */
    static List<Cut> all(Reuse reuse, List<List<Span>> cuts) {
      return cuts.stream().map(spans -> new Cut(reuse, spans)).toList();
    }
  }

  /**
   * The log-likelihoods of response and reasoning under one ablated prompt.
   *
   * @param likelihoods null if nothing was left of the prompt, so that the first token of the
   *     response can not be conditioned on anything
   * @param retokenized whether tokens outside the cut changed
   * @param exact whether nothing was taken over from the trunk that the cut may have changed
   */
  record Outcome(@Nullable Likelihoods likelihoods, boolean retokenized, boolean exact) {}

  /**
   * Scores the response, and the reasoning in the prompt, under each ablated prompt.
   *
   * @param trunk prompt and response
   * @param cuts what each reading leaves out
   * @return one outcome per cut, in order
   */
  List<Outcome> score(
      Trunk trunk,
      TokenizedPrompt prompt,
      TokenizedResponse response,
      List<Cut> cuts,
      Meter meter) {
    List<Outcome> outcomes = new ArrayList<>(cuts.size());
    Likelihoods unchanged = Likelihoods.of(prompt.reasoning(), response, trunk.logProbs());
    List<Branch> chunk = new ArrayList<>();
    List<Pending> pending = new ArrayList<>();
    int chunkTokens = 0;
    for (Cut cut : cuts) {
      if (cut.spans().stream().allMatch(Span::isEmpty)) {
        pending.add(new Pending(unchanged));
        continue;
      }
      AblatedPrompt ablated = prompt.without(cut.spans());
      if (ablated.ids().length == 0) {
        pending.add(new Pending(null));
        continue;
      }
      Branch branch =
          cut.reuse()
              .branch(
                  new Reuse.Reading(
                      ablated.ids(),
                      ablated.sharedPrefix(),
                      ablated.sharedSuffix(),
                      prompt.length(),
                      ablated.reasoning().from(),
                      prompt.scoredFrom(),
                      response.ids()));
      chunk.add(branch);
      pending.add(
          new Pending(null, ablated.reasoning(), ablated.retokenized(), Reuse.isExact(branch)));
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
  private record Pending(
      @Nullable Likelihoods known,
      @Nullable ReasoningTokens branched,
      boolean retokenized,
      boolean exact) {
    Pending(@Nullable Likelihoods known) {
      this(known, null, false, true);
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
      ReasoningTokens reasoning = one.branched();
      Likelihoods likelihoods =
          reasoning == null ? one.known() : Likelihoods.of(reasoning, response, scored.get(next++));
      outcomes.add(new Outcome(likelihoods, one.retokenized(), one.exact()));
    }
    chunk.clear();
    pending.clear();
  }

  /**
   * A reading as an estimate knows it.
   *
   * @param prefix leading tokens of the prompt that stay
   * @param suffix trailing ones
   * @param length tokens of the ablated prompt
   */
  record Shape(int prefix, int suffix, int length) {
    /** The shape of a prompt without some spans, at least one. */
    static Shape of(TokenizedPrompt prompt, List<Span> cut) {
      int removed = cut.stream().mapToInt(prompt::tokensIn).sum();
      int from = prompt.tokenAt(cut.get(0).start());
      int to = prompt.tokenAt(cut.get(cut.size() - 1).end());
      return new Shape(from, prompt.length() - to, prompt.length() - removed);
    }

    private Reuse.Reading reading(ScoringTask task) {
      int full = task.prompt().length();
      int least = Math.max(1, length);
      int scoredFrom = Math.max(1, least - (full - task.scoredFrom()));
      return new Reuse.Reading(
          new int[least],
          prefix,
          Math.min(suffix, least),
          full,
          scoredFrom,
          task.scoredFrom(),
          new int[task.response().length()]);
    }
  }

  /**
   * What branches of some shapes would cost over a task's trunk; chunks are bounded as above.
   * Laying a branch out takes as long as it has tokens, and a record may have any number of
   * sources: of many, some are looked at, evenly spread over the prompt, and stand for all.
   */
  WorkEstimate estimate(ScoringTask task, Reuse reuse, List<Shape> shapes) {
    int looked = Math.min(shapes.size(), MOST_LOOKED_AT);
    List<Shape> some =
        IntStream.range(0, looked)
            .mapToObj(i -> shapes.get((int) ((2L * i + 1) * shapes.size() / (2L * looked))))
            .toList();
    return laidOut(task, reuse, some).times(looked == 0 ? 0 : (double) shapes.size() / looked);
  }

  private WorkEstimate laidOut(ScoringTask task, Reuse reuse, List<Shape> shapes) {
    WorkEstimate trunkAlone = scorer.estimate(task.length(), task.scored(), List.of());
    WorkEstimate total = new WorkEstimate(0, 0, 0);
    List<Branch> chunk = new ArrayList<>();
    int chunkTokens = 0;
    for (Shape shape : shapes) {
      Branch branch = reuse.branch(shape.reading(task));
      chunk.add(branch);
      chunkTokens += branch.tokens().length;
      if (chunkTokens >= CHUNK_TOKENS) {
        total = total.plus(branchesAlone(task, chunk, trunkAlone));
        chunk.clear();
        chunkTokens = 0;
      }
    }
    if (!chunk.isEmpty()) {
      total = total.plus(branchesAlone(task, chunk, trunkAlone));
    }
    return total;
  }

  private WorkEstimate branchesAlone(
      ScoringTask task, List<Branch> chunk, WorkEstimate trunkAlone) {
    return scorer.estimate(task.length(), task.scored(), chunk).minus(trunkAlone);
  }
}
