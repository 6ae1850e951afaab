package dev.whence.engine.kernel;

import java.util.ArrayDeque;
import java.util.Deque;

/**
 * How fast this device computes, for predictions: rates for the three kinds of {@link Work},
 * corrected by what packs really took.
 *
 * <p>Linear layers are taken to run at the rate of one measured matrix product, attention at a
 * fixed fraction of it (its products have a thin inner dimension, and a softmax between them),
 * logits at that of their own type. One factor absorbs what is wrong with that: the median of
 * actual over predicted time of the last packs, so that one pack that met a cold cache or a busy
 * machine does not count.
 *
 * <p>Whoever refuses work by its prediction runs no packs that could correct a wrong factor. So
 * while there are predictions and no packs the factor goes back to what it was at the start.
 */
final class DeviceRate {
  /** Actual over predicted time before a pack was measured. */
  static final double CALIBRATED = 1.2;

  /** A measured ratio counts as at most this many times more or less than the calibrated one. */
  static final double RANGE = 20;

  /** Packs that are not recorded: the first meets cold caches and native code being generated. */
  static final int WARM_UP = 2;

  private static final double ATTENTION_FRACTION = 0.4;
  private static final double SECONDS_PER_PACK_LAYER = 1e-4;
  private static final int REMEMBERED = 9;

  /** Packs that ran together count so often at most: alone they do not outvote the others. */
  private static final int VOTES = REMEMBERED / 2;

  /** So many predictions between two packs are usual: one conversation takes several. */
  private static final int USUAL_PREDICTIONS = 16;

  /** So many further predictions without a pack halve the distance to the calibrated factor. */
  private static final double HALVING_PREDICTIONS = 32;

  private final double gemm;
  private final double logitGemm;
  private final int layers;
  private final Deque<Double> ratios = new ArrayDeque<>();
  private double median = CALIBRATED;
  private int packs;
  private long predictions;

  /**
   * @param gemm FLOP/s of a matrix product in the model's precision
   * @param logitGemm the same in the type in which branches' logits are computed
   */
  DeviceRate(double gemm, double logitGemm, int layers) {
    this.gemm = gemm;
    this.logitGemm = logitGemm;
    this.layers = layers;
  }

  /** Seconds at the plain rates. */
  double uncorrected(Work work, long packs) {
    return work.linear() / gemm
        + work.attention() / (gemm * ATTENTION_FRACTION)
        + work.logits() / logitGemm
        + packs * layers * SECONDS_PER_PACK_LAYER;
  }

  /** Predicted seconds. */
  synchronized double seconds(Work work, long packs) {
    predictions++;
    return (CALIBRATED + trust() * (median - CALIBRATED)) * uncorrected(work, packs);
  }

  /** Learns from packs that ran together. */
  synchronized void record(Work work, int count, double seconds) {
    if (packs < WARM_UP) {
      packs++;
      return;
    }
    if (trust() < 0.5) {
      ratios.clear(); // else the forgotten ratios would outvote the new one
    }
    predictions = 0;
    double ratio = seconds / uncorrected(work, count);
    for (int vote = 0; vote < Math.min(count, VOTES); vote++) {
      ratios.addLast(Math.min(Math.max(ratio, CALIBRATED / RANGE), CALIBRATED * RANGE));
      if (ratios.size() > REMEMBERED) {
        ratios.removeFirst();
      }
    }
    double[] sorted = ratios.stream().mapToDouble(Double::doubleValue).sorted().toArray();
    median = sorted[(sorted.length - 1) / 2];
  }

  /** How far the measured factor still counts: 1 right after a pack. */
  private double trust() {
    return Math.pow(0.5, Math.max(0, predictions - USUAL_PREDICTIONS) / HALVING_PREDICTIONS);
  }
}
