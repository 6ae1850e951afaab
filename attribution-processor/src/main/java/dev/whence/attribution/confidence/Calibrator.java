package dev.whence.attribution.confidence;

import dev.whence.attribution.Proportion;
import dev.whence.attribution.confidence.Calibration.Pair;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.function.Function;

/**
 * The windows of pairs that {@link Calibration}s are learnt from, one for each fast scorer and
 * target: what was measured of one target says nothing about another.
 *
 * <p>A target counts for a fast scorer if one of the last pairs, as many as a calibration needs,
 * came from it. Where instances of the role TARGET differ (in the element type of their processors,
 * or while a new model is rolled out), several count at once, and a response may come to any of
 * them: a fast result is kept only if each of them is known well enough and would have it kept. So
 * a new target starts anew, and one that is gone is forgotten by the time that the new one is
 * known.
 *
 * <p>Pairs are added, and fits made, by one thread; any thread may ask what is known.
 */
public final class Calibrator {
  private static final int MOST_NEWS = 50;
  private static final int MOST_SCORERS = 8;
  private static final int MOST_TARGETS = 4;

  private final int window;
  private final int least;
  private final double wanted;
  private final Map<String, FastScorer> measured = new LinkedHashMap<>();
  private boolean replaying;
  private volatile Map<String, Known> known = Map.of();

  /** What was measured of one fast scorer, by target. */
  private static final class FastScorer {
    final Map<String, Window> targets = new LinkedHashMap<>();

    /** Pairs so far. */
    long pairs;
  }

  /** The pairs of a fast scorer with one target. */
  private static final class Window {
    final Deque<Pair> pairs = new ArrayDeque<>();
    int news;

    /** Number of the last pair among those of the fast scorer. */
    long last;

    Optional<Calibration> fitted = Optional.empty();

    KnownTarget known() {
      return new KnownTarget(
          fitted, agreement(pairs), agreement(pairs.stream().filter(Pair::stood).toList()));
    }

    private static Proportion agreement(Collection<Pair> pairs) {
      return Proportion.of((int) pairs.stream().filter(Pair::agreed).count(), pairs.size());
    }
  }

  /**
   * What is known of a fast scorer with one target.
   *
   * @param calibration empty while too little was measured
   * @param agreement of all pairs
   * @param stood agreement of those that the calibration of their time would have kept, so measured
   *     after the decision: whether the word is kept
   */
  private record KnownTarget(
      Optional<Calibration> calibration, Proportion agreement, Proportion stood) {}

  /** What is known of a fast scorer, with each of the targets that count. */
  public static final class Known {
    static final Known NOTHING = new Known(List.of());

    private final List<KnownTarget> targets;

    private Known(List<KnownTarget> targets) {
      this.targets = targets;
    }

    /** Whether enough was measured with every target. */
    public boolean calibrated() {
      return !targets.isEmpty()
          && targets.stream().allMatch(target -> target.calibration().isPresent());
    }

    /** Whether it is calibrated, and responses as large as this one were measured. */
    public boolean covers(double[] features) {
      return calibrated() && calibrations().stream().allMatch(one -> one.covers(features));
    }

    /**
     * Calibrated probability that the target agrees, whichever it is; empty unless covered, see
     * {@link #covers}.
     */
    public OptionalDouble confidence(double[] features) {
      return covers(features)
          ? calibrations().stream().mapToDouble(one -> one.confidence(features)).min()
          : OptionalDouble.empty();
    }

    /** Whether a result is kept, rather than escalated. */
    public boolean keeps(double[] features) {
      return calibrated() && calibrations().stream().allMatch(one -> one.keeps(features));
    }

    /** Pairs measured with the target that fewest are known of. */
    public int pairs() {
      return targets.stream().mapToInt(target -> target.agreement().of()).min().orElse(0);
    }

    /** Agreement over all traffic, from the first pair on: its interval says how sure that is. */
    public Proportion agreement() {
      return together(KnownTarget::agreement);
    }

    /** Share of the responses that are escalated, at least; empty if not calibrated. */
    public Optional<Double> escalatedShare() {
      return calibrated()
          ? calibrations().stream().map(Calibration::escalatedShare).max(Double::compare)
          : Optional.empty();
    }

    /**
     * Agreement of those that the calibration of their time would have kept, so measured after the
     * decision: whether the word is kept.
     */
    public Proportion stood() {
      return together(KnownTarget::stood);
    }

    private List<Calibration> calibrations() {
      return targets.stream().flatMap(target -> target.calibration().stream()).toList();
    }

    private Proportion together(Function<KnownTarget, Proportion> of) {
      List<Proportion> all = targets.stream().map(of).toList();
      return Proportion.of(
          all.stream().mapToInt(Proportion::hits).sum(),
          all.stream().mapToInt(Proportion::of).sum());
    }
  }

  /**
   * @param window pairs that are kept of a fast scorer with a target
   * @param least fewer say too little
   * @param wanted agreement of what is not escalated, 0 to 1
   */
  public Calibrator(int window, int least, double wanted) {
    this.window = window;
    this.least = Math.max(least, 10);
    this.wanted = wanted;
  }

  /**
   * Pairs of the past come: until {@link #caughtUp} they only fill the windows, and what was known
   * before stays. A week of them is a million, and of a fit between them nobody would know.
   */
  public synchronized void replay() {
    replaying = true;
  }

  /** The pairs that come from now on are new. */
  public synchronized void caughtUp() {
    if (!replaying) {
      return;
    }
    replaying = false;
    for (FastScorer scorer : measured.values()) {
      for (Window of : scorer.targets.values()) {
        if (of.pairs.size() >= least && of.news > 0) {
          fit(of);
        }
      }
    }
    publish();
  }

  private void fit(Window of) {
    of.fitted = Optional.of(Calibration.fit(List.copyOf(of.pairs), wanted));
    of.news = 0;
  }

  /**
   * Another response was scored both ways.
   *
   * @param fast names the fast scorer: model, method and all that its scores depend on
   * @param target names the target's
   */
  public synchronized void add(String fast, String target, Pair pair) {
    FastScorer scorer = lastOf(measured, fast, new FastScorer(), MOST_SCORERS);
    Window of = lastOf(scorer.targets, target, new Window(), MOST_TARGETS);
    of.last = ++scorer.pairs;
    of.pairs.addLast(pair);
    if (of.pairs.size() > window) {
      of.pairs.removeFirst();
    }
    of.news++;
    if (replaying) {
      return;
    }
    // Later pairs hardly move a fit; the first ones do.
    int enough = Math.min(MOST_NEWS, Math.max(1, of.pairs.size() / 20));
    if (of.pairs.size() >= least && (of.fitted.isEmpty() || of.news >= enough)) {
      fit(of);
    }
    publish();
  }

  /** The entry of a name, which becomes the last one heard of; the first ones go. */
  private static <T> T lastOf(Map<String, T> all, String name, T fresh, int most) {
    T found = all.remove(name);
    T entry = found == null ? fresh : found;
    all.put(name, entry);
    if (all.size() > most) {
      all.remove(all.keySet().iterator().next());
    }
    return entry;
  }

  private void publish() {
    Map<String, Known> now = new LinkedHashMap<>();
    measured.forEach((fast, scorer) -> now.put(fast, known(scorer)));
    known = Map.copyOf(now);
  }

  private Known known(FastScorer scorer) {
    List<KnownTarget> counting = new ArrayList<>();
    for (Window of : scorer.targets.values()) {
      if (scorer.pairs - of.last < least) {
        counting.add(of.known());
      }
    }
    return new Known(List.copyOf(counting));
  }

  /** What is known of a fast scorer. Any thread. */
  public Known known(String fast) {
    return known.getOrDefault(fast, Known.NOTHING);
  }
}
