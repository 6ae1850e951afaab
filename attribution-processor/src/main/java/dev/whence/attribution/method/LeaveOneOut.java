package dev.whence.attribution.method;

import dev.whence.attribution.method.ContextScores.SourceTau;
import dev.whence.attribution.source.Source;
import dev.whence.conversation.Span;
import dev.whence.engine.EngineException;
import dev.whence.engine.Scorer;
import dev.whence.engine.Trunk;
import dev.whence.engine.WorkEstimate;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Leave-one-out attribution (LOO).
 *
 * <pre>
 *   tau_i = L(C) - L(C without s_i),   L(C) = sum over t of log p(r_t | C, r_&lt;t)   [nats]
 * </pre>
 *
 * Positive: the source made the response more likely. Split by statement, tau_ij sums the terms of
 * statement j only, so rows sum to tau_i.
 *
 * <p>Two ways to compute the same number, after AttriBoT (Liu, Kandpal, Raffel, ICLR 2025):
 *
 * <ul>
 *   <li><b>exact</b>, with the KV cache (the paper's "key-value caching"): what stands before the
 *       removed source does not change, so its keys and values are taken from the trunk. Removing
 *       s_i = [a, b) costs T - b tokens; n sources of equal length cost about n T / 2.
 *   <li><b>naive</b>: every ablated prompt from position 0, n T tokens. The reference for tests.
 * </ul>
 *
 * One more branch gives L(no attributable context). The trunk, T tokens, gives L(C).
 */
public final class LeaveOneOut implements AttributionMethod {
  public static final String EXACT = "exact-loo";
  public static final String NAIVE = "naive-loo";

  private final String name;
  private final boolean cached;

  private LeaveOneOut(String name, boolean cached) {
    this.name = name;
    this.cached = cached;
  }

  /** With the KV cache. */
  public static LeaveOneOut exact() {
    return new LeaveOneOut(EXACT, true);
  }

  /** Without: the reference. */
  public static LeaveOneOut naive() {
    return new LeaveOneOut(NAIVE, false);
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public ContextScores score(Scorer scorer, ScoringTask task, Meter meter) {
    try (Trunk trunk = scorer.trunk(task.tokens(), task.prompt().length())) {
      meter.ranTrunk(scorer, trunk);
      List<List<Span>> cuts = new ArrayList<>();
      for (Source source : task.sources()) {
        cuts.add(List.of(source.rendered()));
      }
      cuts.add(task.context());
      List<Ablations.Outcome> outcomes =
          new Ablations(scorer, cached).score(trunk, task.prompt(), task.response(), cuts, meter);
      double[] full = task.response().byStatement(trunk.logProbs());
      List<SourceTau> taus = new ArrayList<>();
      int retokenized = 0;
      for (int i = 0; i < task.sources().size(); i++) {
        Ablations.Outcome outcome = outcomes.get(i);
        retokenized += outcome.retokenized() ? 1 : 0;
        taus.add(new SourceTau(tau(full, outcome), name, true, false));
      }
      Optional<double[]> without =
          Optional.ofNullable(outcomes.get(outcomes.size() - 1).byStatement());
      return new ContextScores(trunk.logProbs(), full, without, taus, retokenized);
    }
  }

  /** L(C) - L(C without the spans), by statement. */
  static double[] tau(double[] full, Ablations.Outcome outcome) {
    double[] without = outcome.byStatement();
    if (without == null) {
      throw new EngineException(
          EngineException.Kind.UNSUPPORTED,
          "nothing is left of the prompt without one of its sources, so the response can not be"
              + " scored without it; use a finer granularity or a chat template");
    }
    double[] tau = new double[full.length];
    for (int j = 0; j < tau.length; j++) {
      tau[j] = full[j] - without[j];
    }
    return tau;
  }

  @Override
  public WorkEstimate estimate(Scorer scorer, ScoringTask task) {
    List<Ablations.Shape> shapes = new ArrayList<>();
    for (Source source : task.sources()) {
      shapes.add(shape(task, List.of(source.rendered())));
    }
    shapes.add(shape(task, task.context()));
    return new Ablations(scorer, cached).estimate(task.length(), task.response().length(), shapes);
  }

  /** The shape of the full prompt without some spans. */
  static Ablations.Shape shape(ScoringTask task, List<Span> cut) {
    int removed = cut.stream().mapToInt(task.prompt()::tokensIn).sum();
    int shared = cut.isEmpty() ? task.prompt().length() : task.prompt().tokenAt(cut.get(0).start());
    return new Ablations.Shape(shared, task.prompt().length() - removed);
  }
}
