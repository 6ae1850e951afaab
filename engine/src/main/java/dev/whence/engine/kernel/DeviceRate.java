package dev.whence.engine.kernel;

/**
 * How fast this device computes, for predictions: rates for the three kinds of {@link Work},
 * corrected by what packs really took.
 *
 * <p>Linear layers are taken to run at the rate of one measured matrix product, attention at a
 * fixed fraction of it (its products have a thin inner dimension, and a softmax between them),
 * logits at the fp32 rate. One factor, the exponentially weighted mean of actual over predicted
 * time, absorbs what is wrong with that.
 */
final class DeviceRate {
  private static final double ATTENTION_FRACTION = 0.4;
  private static final double WEIGHT = 0.2;
  private static final double SECONDS_PER_PACK_LAYER = 1e-4;

  private final double gemm;
  private final double fp32Gemm;
  private final int layers;
  private volatile double factor = 1.2;
  private boolean measured;

  /**
   * @param gemm FLOP/s of a matrix product in the model's precision
   * @param fp32Gemm the same in fp32
   */
  DeviceRate(double gemm, double fp32Gemm, int layers) {
    this.gemm = gemm;
    this.fp32Gemm = fp32Gemm;
    this.layers = layers;
  }

  private double uncorrected(Work work, long packs) {
    return work.linear() / gemm
        + work.attention() / (gemm * ATTENTION_FRACTION)
        + work.logits() / fp32Gemm
        + packs * layers * SECONDS_PER_PACK_LAYER;
  }

  /** Predicted seconds. */
  double seconds(Work work, long packs) {
    return factor * uncorrected(work, packs);
  }

  /** Learns from a pack. */
  void record(Work work, double seconds) {
    double ratio = seconds / uncorrected(work, 1);
    factor = measured ? factor + WEIGHT * (ratio - factor) : ratio;
    measured = true;
  }
}
