package dev.whence.attribution.confidence;

import dev.whence.attribution.Proportion;
import dev.whence.attribution.confidence.Calibration.Pair;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The windows of pairs that {@link Calibration}s are learnt from, one for each fast scorer: the
 * last pairs with the target's present scorer. Another target starts anew, for what was measured of
 * the old one says nothing about it.
 *
 * <p>Pairs are added, and fits made, by one thread; any thread may ask what is known.
 */
public final class Calibrator {
  private static final int MOST_NEWS = 50;
  private static final int MOST_SCORERS = 16;

  private final int window;
  private final int least;
  private final double wanted;
  private final Map<String, Measured> measured = new LinkedHashMap<>();
  private volatile Map<String, Known> known = Map.of();

  /** The window of one fast scorer. */
  private static final class Measured {
    final String target;
    final Deque<Pair> pairs = new ArrayDeque<>();
    int news;
    Optional<Calibration> fitted = Optional.empty();

    Measured(String target) {
      this.target = target;
    }
  }

  /**
   * What is known of a fast scorer.
   *
   * @param calibration empty while too little was measured
   * @param pairs measured
   * @param stood agreement of those that the calibration of their time would have kept, so measured
   *     after the decision: whether the word is kept
   */
  public record Known(Optional<Calibration> calibration, int pairs, Proportion stood) {
    static final Known NOTHING = new Known(Optional.empty(), 0, Proportion.of(0, 0));
  }

  /**
   * @param window pairs that are kept of a fast scorer
   * @param least fewer say too little
   * @param wanted agreement of what is not escalated, 0 to 1
   */
  public Calibrator(int window, int least, double wanted) {
    this.window = window;
    this.least = Math.max(least, 10);
    this.wanted = wanted;
  }

  /**
   * Another response was scored both ways.
   *
   * @param fast names the fast scorer: model, method and all that its scores depend on
   * @param target names the target's
   */
  public synchronized void add(String fast, String target, Pair pair) {
    Measured of = measured.remove(fast);
    if (of == null || !of.target.equals(target)) {
      of = new Measured(target);
    }
    measured.put(fast, of); // the last one heard of
    if (measured.size() > MOST_SCORERS) {
      measured.remove(measured.keySet().iterator().next());
    }
    of.pairs.addLast(pair);
    if (of.pairs.size() > window) {
      of.pairs.removeFirst();
    }
    of.news++;
    // Later pairs hardly move a fit; the first ones do.
    int enough = Math.min(MOST_NEWS, Math.max(1, of.pairs.size() / 20));
    if (of.pairs.size() >= least && (of.fitted.isEmpty() || of.news >= enough)) {
      of.fitted = Optional.of(Calibration.fit(List.copyOf(of.pairs), wanted));
      of.news = 0;
    }
    publish();
  }

  private void publish() {
    Map<String, Known> now = new LinkedHashMap<>();
    measured.forEach(
        (fast, of) -> {
          List<Pair> stood = of.pairs.stream().filter(Pair::stood).toList();
          int agreed = (int) stood.stream().filter(Pair::agreed).count();
          now.put(fast, new Known(of.fitted, of.pairs.size(), Proportion.of(agreed, stood.size())));
        });
    known = Map.copyOf(now);
  }

  /** What is known of a fast scorer. Any thread. */
  public Known known(String fast) {
    return known.getOrDefault(fast, Known.NOTHING);
  }
}
