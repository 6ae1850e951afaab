package dev.whence.attribution.confidence;

import dev.whence.attribution.confidence.Calibration.Pair;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Optional;

/**
 * The window of pairs that the {@link Calibration} is learnt from: the last ones of the present
 * pair of scorers. Another model or method on either side starts anew, for what was measured of the
 * old ones says nothing about it. Thread-safe.
 */
public final class Calibrator {
  private static final int MOST_NEWS = 50;

  private final int window;
  private final int least;
  private final double wanted;
  private final Deque<Measured> measured = new ArrayDeque<>();

  /** Counts what came in, so that a fit is repeated only after news. */
  private long arrived;

  private long fittedAt;
  private Scorer fittedFor = new Scorer("", "");
  private Optional<Calibration> fitted = Optional.empty();

  /** A model, by its digest, with a method. */
  public record Scorer(String digest, String method) {}

  private record Measured(Scorer fast, Scorer target, Pair pair) {}

  /**
   * @param window pairs that are kept
   * @param least fewer of one pair of scorers say too little
   * @param wanted agreement of what is not escalated, 0 to 1
   */
  public Calibrator(int window, int least, double wanted) {
    this.window = window;
    this.least = Math.max(least, 10);
    this.wanted = wanted;
  }

  /** Another response was scored both ways. */
  public synchronized void add(Scorer fast, Scorer target, Pair pair) {
    measured.addLast(new Measured(fast, target, pair));
    if (measured.size() > window) {
      measured.removeFirst();
    }
    arrived++;
  }

  /** Pairs of a fast scorer with the target's present scorer. */
  public synchronized int pairs(Scorer fast) {
    return of(fast).size();
  }

  private List<Pair> of(Scorer fast) {
    Optional<Scorer> target =
        measured.stream()
            .filter(one -> one.fast().equals(fast))
            .reduce((first, second) -> second)
            .map(Measured::target);
    return measured.stream()
        .filter(one -> one.fast().equals(fast) && Optional.of(one.target()).equals(target))
        .map(Measured::pair)
        .toList();
  }

  /** What is known of a fast scorer; empty while too little is. */
  public synchronized Optional<Calibration> calibration(Scorer fast) {
    // Later pairs hardly move a fit; the first ones do.
    long enough = Math.min(MOST_NEWS, Math.max(1, measured.size() / 20));
    if (!fast.equals(fittedFor) || arrived - fittedAt >= enough) {
      List<Pair> pairs = of(fast);
      fitted =
          pairs.size() < least ? Optional.empty() : Optional.of(Calibration.fit(pairs, wanted));
      fittedFor = fast;
      fittedAt = arrived;
    }
    return fitted;
  }
}
