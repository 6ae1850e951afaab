package dev.whence.attribution.method;

import dev.whence.engine.Scorer;
import dev.whence.engine.WorkEstimate;
import dev.whence.engine.text.Encoding;
import java.util.Arrays;

/**
 * Splice leave-one-out: the removed source's keys and values are dropped, what follows closes the
 * gap, and only w tokens after it are recomputed besides question and response. A dial from the
 * cheapest (w = 0) to exact LOO (w to the end of the context); see {@link Reuse.Spliced}. Half of
 * the w are those right after the gap, half repeat words of the source further on: {@link Echoes}.
 *
 * <p>Cost: T + n (w + q + r) tokens for n sources, with q tokens after the context and r of the
 * response. That the far context keeps keys and values that were computed with the source in sight
 * is the approximation; closing the gap is what keeps it small. Ours; KV reuse at other positions
 * is known from serving (CacheBlend, Yao et al., 2024, arXiv 2405.16444).
 *
 * <p>A source with at most w tokens of context after it is scored exactly, and said to be.
 */
public final class Splice implements AttributionMethod {
  public static final String NAME = "splice";

  private final int heal;

  /**
   * @param heal w, at least 0
   */
  public Splice(int heal) {
    this.heal = heal;
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public ContextScores score(Scorer scorer, ScoringTask task, Meter meter) {
    try (TrunkReadings readings = new TrunkReadings(scorer, task, meter)) {
      return readings.with(reuse(task, heal), TrunkReadings.cuts(task), NAME, new Reuse.Prefix());
    }
  }

  /** The splice that heals so many tokens of a task's context. */
  static Reuse reuse(ScoringTask task, int heal) {
    int end = task.sources().stream().mapToInt(source -> source.rendered().end()).max().orElse(0);
    int contextEnd = task.prompt().tokenAt(end);
    return new Reuse.Spliced(heal, contextEnd, echoes(task, heal, contextEnd));
  }

  private static Echoes echoes(ScoringTask task, int heal, int contextEnd) {
    if (heal < 2) {
      return Echoes.NONE; // all of w is right after the gap
    }
    Encoding encoding = task.prompt().encoding();
    String prompt = task.prompt().text();
    int scoredFrom = task.scoredFrom();
    String reasoning =
        scoredFrom < encoding.length() ? prompt.substring(encoding.starts()[scoredFrom]) : "";
    return Echoes.of(
        Arrays.copyOf(encoding.starts(), contextEnd),
        Arrays.copyOf(encoding.ends(), contextEnd),
        prompt,
        reasoning + " " + task.response().text());
  }

  @Override
  public WorkEstimate estimate(Scorer scorer, ScoringTask task) {
    return TrunkReadings.trunkEstimate(scorer, task, new Reuse.Prefix())
        .plus(TrunkReadings.estimate(scorer, task, reuse(task, heal), TrunkReadings.cuts(task)));
  }
}
