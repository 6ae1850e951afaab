package dev.whence.attribution.method;

import dev.whence.attribution.method.ContextScores.SourceTau;
import dev.whence.attribution.tokens.TokenizedPrompt;
import dev.whence.conversation.Span;
import dev.whence.engine.Scorer;
import dev.whence.engine.Trunk;
import dev.whence.engine.WorkEstimate;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * Hierarchical attribution (AttriBoT, Liu, Kandpal, Raffel, ICLR 2025): exact LOO of paragraphs,
 * then exact LOO of the sources of the top K paragraphs in a prompt without the others.
 *
 * <pre>
 *   1. tau_P = L(C) - L(C without P) for every paragraph P
 *   2. C' = C without the paragraphs whose tau_P is not among the K largest
 *   3. tau_i = L(C') - L(C' without s_i) for every source of the paragraphs that stayed
 * </pre>
 *
 * Cost: about T + P T / 2 tokens for the paragraphs, then T' + n' T' / 2 for the n' sources of the
 * pruned prompt of T' tokens.
 *
 * <p>What a score is, is said with it. Sources of kept paragraphs: context "pruned", not exact. A
 * paragraph of a single source: its score of step 1 is that source's exact LOO on the full context,
 * and stays. Sources of dropped paragraphs: an equal share of tau_P, so that they add up to what
 * was measured; method {@link #SPREAD}, context "full", not exact: it says what the paragraph did,
 * not which of its sources did it. If no paragraph is dropped, C' is C and all scores are exact.
 */
public final class Hierarchical implements AttributionMethod {
  public static final String NAME = "hierarchical";

  /** Method of a score that is an equal share of its paragraph's. */
  public static final String SPREAD = "hierarchical-paragraph";

  private final int keepParagraphs;

  /**
   * @param keepParagraphs K, at least 1
   */
  public Hierarchical(int keepParagraphs) {
    if (keepParagraphs < 1) {
      throw new IllegalArgumentException(
          "keepParagraphs is " + keepParagraphs + ", but at least 1 paragraph must be kept");
    }
    this.keepParagraphs = keepParagraphs;
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public ContextScores score(Scorer scorer, ScoringTask task, Meter meter) {
    List<List<Integer>> paragraphs = paragraphs(task);
    Scores scores = new Scores(new SourceTau[task.sources().size()]);
    Ablations ablations = new Ablations(scorer, true);
    double[] tokenLogProbs;
    double[] full;
    Optional<double[]> without;
    boolean[] kept;
    try (Trunk trunk = scorer.trunk(task.tokens(), task.prompt().length())) {
      meter.ranTrunk(scorer, trunk);
      tokenLogProbs = trunk.logProbs();
      full = task.response().byStatement(tokenLogProbs);
      List<List<Span>> cuts = new ArrayList<>();
      paragraphs.forEach(paragraph -> cuts.add(spans(task, paragraph)));
      cuts.add(task.context());
      List<Ablations.Outcome> outcomes =
          ablations.score(trunk, task.prompt(), task.response(), cuts, meter);
      without = Optional.ofNullable(outcomes.get(paragraphs.size()).byStatement());
      List<double[]> tauP = new ArrayList<>();
      for (int p = 0; p < paragraphs.size(); p++) {
        tauP.add(LeaveOneOut.tau(full, outcomes.get(p)));
        scores.count(outcomes.get(p));
      }
      kept = top(tauP);
      for (int p = 0; p < paragraphs.size(); p++) {
        if (!kept[p] || paragraphs.get(p).size() == 1) {
          scores.spread(tauP.get(p), paragraphs.get(p));
        }
      }
      if (paragraphs.size() <= keepParagraphs) {
        List<Integer> open = scores.open();
        scores.refine(
            open,
            full,
            ablations.score(
                trunk, task.prompt(), task.response(), cuts(task, open, List.of()), meter),
            false);
      }
    }
    List<Integer> open = scores.open();
    if (!open.isEmpty()) {
      List<Span> removed = removed(task, paragraphs, kept);
      TokenizedPrompt pruned = task.prompt().pruned(removed);
      int[] tokens = ScoringTask.concatenate(pruned.encoding().ids(), task.response().ids());
      try (Trunk trunk = scorer.trunk(tokens, pruned.length())) {
        meter.ranTrunk(scorer, trunk);
        scores.refine(
            open,
            task.response().byStatement(trunk.logProbs()),
            ablations.score(trunk, pruned, task.response(), cuts(task, open, removed), meter),
            true);
      }
    }
    return new ContextScores(
        tokenLogProbs, full, without, List.of(scores.taus), scores.retokenized);
  }

  /** The scores of a task as they come in. */
  private static final class Scores {
    private final SourceTau[] taus;
    private int retokenized;

    Scores(SourceTau[] taus) {
      this.taus = taus;
    }

    void count(Ablations.Outcome outcome) {
      retokenized += outcome.retokenized() ? 1 : 0;
    }

    /** Gives a paragraph's score to its sources in equal shares. */
    void spread(double[] tauP, List<Integer> sources) {
      boolean alone = sources.size() == 1;
      double[] share = Arrays.stream(tauP).map(tau -> tau / sources.size()).toArray();
      for (int source : sources) {
        taus[source] = new SourceTau(share, alone ? NAME : SPREAD, alone, false);
      }
    }

    void refine(
        List<Integer> sources, double[] whole, List<Ablations.Outcome> outcomes, boolean pruned) {
      for (int i = 0; i < sources.size(); i++) {
        count(outcomes.get(i));
        taus[sources.get(i)] =
            new SourceTau(LeaveOneOut.tau(whole, outcomes.get(i)), NAME, !pruned, pruned);
      }
    }

    /** Sources without a score yet. */
    List<Integer> open() {
      return IntStream.range(0, taus.length).filter(i -> taus[i] == null).boxed().toList();
    }
  }

  /** Source indices by paragraph, in order. */
  private static List<List<Integer>> paragraphs(ScoringTask task) {
    List<List<Integer>> paragraphs = new ArrayList<>();
    int last = -1;
    for (int i = 0; i < task.sources().size(); i++) {
      int paragraph = task.sources().get(i).paragraph();
      if (paragraph != last) {
        paragraphs.add(new ArrayList<>());
        last = paragraph;
      }
      paragraphs.get(paragraphs.size() - 1).add(i);
    }
    return paragraphs;
  }

  private static List<Span> spans(ScoringTask task, List<Integer> sources) {
    return sources.stream()
        .map(i -> task.sources().get(i).rendered())
        .filter(span -> !span.isEmpty())
        .toList();
  }

  /** The K paragraphs with the largest total tau; of equal ones the first. */
  private boolean[] top(List<double[]> tauP) {
    boolean[] kept = new boolean[tauP.size()];
    IntStream.range(0, kept.length)
        .boxed()
        .sorted(Comparator.comparingDouble(p -> -Arrays.stream(tauP.get(p)).sum()))
        .limit(keepParagraphs)
        .forEach(p -> kept[p] = true);
    return kept;
  }

  private static List<Span> removed(
      ScoringTask task, List<List<Integer>> paragraphs, boolean[] kept) {
    List<Span> removed = new ArrayList<>();
    for (int p = 0; p < kept.length; p++) {
      if (!kept[p]) {
        removed.addAll(spans(task, paragraphs.get(p)));
      }
    }
    return removed;
  }

  /** What each source's reading leaves out of the prompt from which {@code removed} is gone. */
  private static List<List<Span>> cuts(
      ScoringTask task, List<Integer> sources, List<Span> removed) {
    List<List<Span>> cuts = new ArrayList<>();
    int gone = 0;
    int next = 0;
    for (int source : sources) {
      Span span = task.sources().get(source).rendered();
      while (next < removed.size() && removed.get(next).end() <= span.start()) {
        gone += removed.get(next++).length();
      }
      cuts.add(List.of(span.shift(-gone)));
    }
    return cuts;
  }

  /**
   * {@inheritDoc}
   *
   * <p>Which paragraphs stay is not known before the first step: the K dearest are counted.
   */
  @Override
  public WorkEstimate estimate(Scorer scorer, ScoringTask task) {
    List<List<Integer>> paragraphs = paragraphs(task);
    Ablations ablations = new Ablations(scorer, true);
    int responseTokens = task.response().length();
    List<Ablations.Shape> shapes = new ArrayList<>();
    paragraphs.forEach(p -> shapes.add(LeaveOneOut.shape(task, spans(task, p))));
    shapes.add(LeaveOneOut.shape(task, task.context()));

    boolean[] kept = new boolean[paragraphs.size()];
    IntStream.range(0, kept.length)
        .boxed()
        .sorted(Comparator.comparingLong(p -> -weight(task, paragraphs.get(p))))
        .limit(keepParagraphs)
        .forEach(p -> kept[p] = true);
    int prompt = task.prompt().length();
    List<Ablations.Shape> refined = new ArrayList<>();
    int gone = 0;
    for (int p = 0; p < kept.length; p++) {
      if (!kept[p]) {
        gone += tokens(task, paragraphs.get(p));
      }
    }
    int goneBefore = 0;
    for (int p = 0; p < kept.length; p++) {
      if (!kept[p]) {
        goneBefore += tokens(task, paragraphs.get(p));
      } else if (paragraphs.get(p).size() > 1) {
        for (int source : paragraphs.get(p)) {
          Span span = task.sources().get(source).rendered();
          refined.add(
              new Ablations.Shape(
                  task.prompt().tokenAt(span.start()) - goneBefore,
                  prompt - gone - task.prompt().tokensIn(span)));
        }
      }
    }
    if (paragraphs.size() <= keepParagraphs) {
      shapes.addAll(refined);
      refined.clear();
    }
    WorkEstimate first = ablations.estimate(task.length(), responseTokens, shapes);
    return refined.isEmpty()
        ? first
        : first.plus(ablations.estimate(task.length() - gone, responseTokens, refined));
  }

  private static long weight(ScoringTask task, List<Integer> paragraph) {
    return paragraph.size() == 1 ? 0 : (long) paragraph.size() * tokens(task, paragraph);
  }

  private static int tokens(ScoringTask task, List<Integer> paragraph) {
    return spans(task, paragraph).stream().mapToInt(task.prompt()::tokensIn).sum();
  }
}
