package dev.whence.attribution.method;

import dev.whence.attribution.method.ContextScores.GroupTau;
import dev.whence.attribution.method.ContextScores.Reasoning;
import dev.whence.attribution.method.ContextScores.SourceTau;
import dev.whence.conversation.Span;
import dev.whence.engine.EngineException;
import dev.whence.engine.Scorer;
import dev.whence.engine.Trunk;
import dev.whence.engine.WorkEstimate;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.function.BooleanSupplier;
import java.util.function.UnaryOperator;

/** One trunk with prompt and response of a task, and what its ablated readings give. */
public final class TrunkReadings implements AutoCloseable {
  private final Scorer scorer;
  private final ScoringTask task;
  private final Meter meter;
  private final Trunk trunk;
  private final Likelihoods full;
  private int retokenized;

  /**
   * Runs the trunk.
   *
   * @throws EngineException as {@link Scorer#trunk}
   */
  public TrunkReadings(Scorer scorer, ScoringTask task, Meter meter) {
    this.scorer = scorer;
    this.task = task;
    this.meter = meter;
    this.trunk = scorer.trunk(task.tokens(), task.scoredFrom());
    this.full = Likelihoods.of(task.prompt().reasoning(), task.response(), trunk.logProbs());
    meter.ranTrunk(scorer, trunk);
  }

  /** One score for each choice of spans that is left out. */
  List<SourceTau> taus(Reuse reuse, List<List<Span>> cuts, String method) {
    return taus(score(reuse, cuts), method);
  }

  private List<SourceTau> taus(List<Ablations.Outcome> outcomes, String method) {
    List<SourceTau> taus = new ArrayList<>();
    for (Ablations.Outcome outcome : outcomes) {
      Likelihoods tau = full.minus(required(outcome));
      taus.add(
          new SourceTau(
              tau.byStatement(),
              tau.reasoning(),
              method,
              scorer.description().model(),
              outcome.exact(),
              false));
    }
    return taus;
  }

  /** L of the response by statement for each choice of spans that is left out. */
  List<double[]> logLikelihoods(Reuse reuse, List<List<Span>> cuts) {
    List<double[]> likelihoods = new ArrayList<>();
    for (Ablations.Outcome outcome : score(reuse, cuts)) {
      likelihoods.add(required(outcome).byStatement());
    }
    return likelihoods;
  }

  /** The same, and nothing for a choice that leaves nothing of the prompt. */
  List<Optional<double[]>> logLikelihoodsIfAny(Reuse reuse, List<List<Span>> cuts) {
    return score(reuse, cuts).stream()
        .map(outcome -> Optional.ofNullable(outcome.likelihoods()).map(Likelihoods::byStatement))
        .toList();
  }

  /** L by statement for each choice of spans that is left out, each computed exactly, nats. */
  public List<double[]> exactLogLikelihoods(List<List<Span>> cuts) {
    return logLikelihoods(new Reuse.Prefix(), cuts);
  }

  /** The same, each computed from position 0: what naive leave-one-out pays. */
  public List<double[]> naiveLogLikelihoods(List<List<Span>> cuts) {
    return logLikelihoods(new Reuse.Nothing(), cuts);
  }

  /** The trunk, for what else is read of it. */
  Trunk trunk() {
    return trunk;
  }

  private static Likelihoods required(Ablations.Outcome outcome) {
    Likelihoods likelihoods = outcome.likelihoods();
    if (likelihoods == null) {
      throw nothingLeft();
    }
    return likelihoods;
  }

  static EngineException nothingLeft() {
    return new EngineException(
        EngineException.Kind.UNSUPPORTED,
        "nothing is left of the prompt without one of its sources, not even a begin token, so the"
            + " response can not be scored without it; declare only a part of the prompt as context,"
            + " or use a finer granularity or a chat template");
  }

  private List<Ablations.Outcome> score(Reuse reuse, List<List<Span>> cuts) {
    return score(Ablations.Cut.all(reuse, cuts));
  }

  private List<Ablations.Outcome> score(List<Ablations.Cut> cuts) {
    List<Ablations.Outcome> outcomes =
        new Ablations(scorer).score(trunk, task.prompt(), task.response(), cuts, meter);
    for (Ablations.Outcome outcome : outcomes) {
      retokenized += outcome.retokenized() ? 1 : 0;
    }
    return outcomes;
  }

  /**
   * Reads the prompt without any attributable context, and without each group of near-duplicates,
   * too, and puts all together.
   *
   * @param reuse of those readings: one that is exact
   */
  ContextScores with(List<SourceTau> sources, Reuse reuse) {
    return with(sources, score(reuse, further(task)));
  }

  /**
   * The same, but groups only until it is late; the result lacks the others.
   *
   * @param late is asked before each group
   */
  ContextScores withUntil(BooleanSupplier late, List<SourceTau> sources, Reuse reuse) {
    List<Ablations.Outcome> outcomes = new ArrayList<>();
    for (List<Span> cut : further(task)) {
      if (!outcomes.isEmpty() && late.getAsBoolean()) {
        meter.leftOutGroups();
        break;
      }
      outcomes.addAll(score(reuse, List.of(cut)));
    }
    return with(sources, outcomes);
  }

  /**
   * {@link #taus} of all sources, and what {@link #with(List, Reuse)} reads besides: together, so
   * that all readings share packs.
   *
   * @param further reuse of the readings besides: one that is exact
   */
  ContextScores with(Reuse reuse, List<List<Span>> cuts, String method, Reuse further) {
    return with(reuse, cuts, method, UnaryOperator.identity(), further);
  }

  /**
   * The same where the cuts are not all sources' own.
   *
   * @param sources gives the scores of all sources, given those of the cuts
   */
  ContextScores with(
      Reuse reuse,
      List<List<Span>> cuts,
      String method,
      UnaryOperator<List<SourceTau>> sources,
      Reuse further) {
    List<Ablations.Cut> all = new ArrayList<>(Ablations.Cut.all(reuse, cuts));
    all.addAll(Ablations.Cut.all(further, further(task)));
    List<Ablations.Outcome> outcomes = score(all);
    List<SourceTau> scored = taus(outcomes.subList(0, cuts.size()), method);
    return with(sources.apply(scored), outcomes.subList(cuts.size(), all.size()));
  }

  private ContextScores with(List<SourceTau> sources, List<Ablations.Outcome> outcomes) {
    Optional<Likelihoods> without = Optional.ofNullable(outcomes.get(0).likelihoods());
    List<GroupTau> groups = new ArrayList<>();
    for (int g = 0; g < outcomes.size() - 1; g++) {
      Likelihoods withoutGroup = outcomes.get(g + 1).likelihoods();
      if (withoutGroup != null) { // else nothing would be left of the prompt
        Likelihoods tau = full.minus(withoutGroup);
        groups.add(
            new GroupTau(
                task.duplicates().get(g), Arrays.stream(tau.byStatement()).sum(), tau.reasoning()));
      }
    }
    return new ContextScores(
        Likelihoods.ofResponse(task.response(), trunk.logProbs()),
        full.byStatement(),
        without.map(Likelihoods::byStatement),
        reasoning(without),
        sources,
        groups,
        retokenized);
  }

  private Optional<Reasoning> reasoning(Optional<Likelihoods> without) {
    if (full.reasoning().isEmpty()) {
      return Optional.empty();
    }
    return Optional.of(
        new Reasoning(
            task.prompt().reasoning().count(),
            full.reasoning().getAsDouble(),
            without.map(Likelihoods::reasoning).orElse(OptionalDouble.empty())));
  }

  /** What is left out besides single sources: all context, then each group of near-duplicates. */
  private static List<List<Span>> further(ScoringTask task) {
    List<List<Span>> cuts = new ArrayList<>();
    cuts.add(task.context());
    for (List<Integer> group : task.duplicates()) {
      cuts.add(
          group.stream()
              .map(i -> task.sources().get(i).rendered())
              .filter(span -> !span.isEmpty())
              .toList());
    }
    return cuts;
  }

  /** Readings so far in which tokens outside the cut changed. */
  int retokenized() {
    return retokenized;
  }

  /** What each source's reading leaves out. */
  static List<List<Span>> cuts(ScoringTask task) {
    return task.sources().stream().map(source -> List.of(source.rendered())).toList();
  }

  /** What a trunk and the readings of {@link #with(List, Reuse)} cost. */
  static WorkEstimate trunkEstimate(Scorer scorer, ScoringTask task, Reuse reuse) {
    WorkEstimate trunk = scorer.estimate(task.length(), task.scored(), List.of());
    return trunk.plus(estimate(scorer, task, reuse, further(task)));
  }

  /** What readings cost besides. */
  static WorkEstimate estimate(
      Scorer scorer, ScoringTask task, Reuse reuse, List<List<Span>> cuts) {
    List<Ablations.Shape> shapes =
        cuts.stream()
            .filter(cut -> !cut.stream().allMatch(Span::isEmpty)) // these are not read again
            .map(cut -> Ablations.Shape.of(task.prompt(), cut))
            .toList();
    return new Ablations(scorer).estimate(task, reuse, shapes);
  }

  @Override
  public void close() {
    trunk.close();
  }
}
