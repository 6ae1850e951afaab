package dev.whence.engine.training;

/** The learning rate of each step. Steps count from 1. */
public sealed interface Schedule {
  /** The rate of a step. */
  double rate(long step);

  /** Rises linearly over {@code warmup} steps, then stays. */
  record Constant(double peak, long warmup) implements Schedule {
    @Override
    public double rate(long step) {
      return peak * warm(step, warmup);
    }
  }

  /**
   * Rises linearly over {@code warmup} steps, then falls to {@code floor} at step {@code total}
   * along half a cosine (Loshchilov and Hutter 2017, without restarts).
   */
  record Cosine(double peak, double floor, long warmup, long total) implements Schedule {
    @Override
    public double rate(long step) {
      if (step <= warmup) {
        return peak * warm(step, warmup);
      }
      double done = Math.min(1, (double) (step - warmup) / Math.max(1, total - warmup));
      return floor + (peak - floor) * (1 + Math.cos(Math.PI * done)) / 2;
    }
  }

  /**
   * Rises linearly over {@code warmup} steps, stays, and falls linearly to {@code floor} over the
   * last {@code decay} of {@code total} steps (warmup-stable-decay).
   */
  record WarmupStableDecay(double peak, double floor, long warmup, long decay, long total)
      implements Schedule {
    @Override
    public double rate(long step) {
      if (step <= warmup) {
        return peak * warm(step, warmup);
      }
      double left = Math.max(0, Math.min(1, (double) (total - step) / Math.max(1, decay)));
      return floor + (peak - floor) * left;
    }
  }

  /**
   * Another schedule of {@code total} steps, gone through in {@code fewer}: what comes first, and
   * last, comes first, and last.
   */
  record Compressed(Schedule whole, long total, long fewer) implements Schedule {
    @Override
    public double rate(long step) {
      return whole.rate(step * total / fewer);
    }
  }

  private static double warm(long step, long warmup) {
    return Math.min(1, (double) step / Math.max(1, warmup));
  }
}
