package dev.whence.engine.kernel;

import ai.djl.Device;
import ai.djl.pytorch.jni.IValue;
import dev.whence.engine.EngineOptions;

/**
 * The fastest matrix product that the native library manages on a device, measured through the same
 * library and the same call as the decoder's linear layers: what efficiencies are fractions of.
 *
 * @param bf16 FLOP/s (2 per multiply-add) of a square product in bf16
 * @param fp32 the same in fp32
 */
public record GemmPeak(double bf16, double fp32) {
  private static final Size FOR_FIGURES = new Size(2048, 5, 512, 2);

  /** A model is opened behind it: where the dtype has no instructions, the probe alone counts. */
  private static final Size FOR_PREDICTIONS = new Size(768, 3, 256, 0.05);

  /**
   * What is measured.
   *
   * @param rows of the square matrices
   * @param repeats of which the best counts
   * @param probe rows of the matrices that are tried first
   * @param enoughSeconds where one product would take longer, the probe's rate is the answer: the
   *     processor has no instructions for the dtype
   */
  private record Size(int rows, int repeats, int probe, double enoughSeconds) {}

  /**
   * Measures with products of 2048 x 2048 matrices, the best of five; of 512 x 512 where one of
   * those would take more than two seconds: the processor has no instructions for the dtype.
   */
  public static GemmPeak measure(EngineOptions options) {
    Device device = TorchRuntime.device(TorchRuntime.start(options), options.device());
    try (Kernel kernel = Kernel.load(KernelText.of("llama"), device)) {
      return measure(kernel, FOR_FIGURES);
    }
  }

  /** Fast and rough: what a decoder's predictions and its choice of a dtype begin with. */
  static GemmPeak estimate(Kernel kernel) {
    return measure(kernel, FOR_PREDICTIONS);
  }

  /** FLOP/s in fp32 alone: bf16 takes seconds where the processor has no instructions for it. */
  public static double fp32(EngineOptions options) {
    Device device = TorchRuntime.device(TorchRuntime.start(options), options.device());
    try (Kernel kernel = Kernel.load(KernelText.of("llama"), device)) {
      return rate(kernel, Precision.FP32, FOR_FIGURES);
    }
  }

  private static GemmPeak measure(Kernel kernel, Size size) {
    return new GemmPeak(rate(kernel, Precision.BF16, size), rate(kernel, Precision.FP32, size));
  }

  private static double rate(Kernel kernel, Precision precision, Size size) {
    double probed = best(kernel, precision, size.probe(), 2);
    return flops(size.rows()) / probed > size.enoughSeconds()
        ? probed
        : best(kernel, precision, size.rows(), size.repeats());
  }

  /** FLOP/s of the fastest of some products. */
  private static double best(Kernel kernel, Precision precision, int size, int repeats) {
    try (IValue a = kernel.constant(precision, 1, size, size);
        IValue b = kernel.constant(precision, 1, size, size)) {
      kernel.call("gemm", a, b).close(); // warms up
      double least = Double.POSITIVE_INFINITY;
      for (int i = 0; i < repeats; i++) {
        long start = System.nanoTime();
        kernel.call("gemm", a, b).close();
        least = Math.min(least, (System.nanoTime() - start) * 1e-9);
      }
      return flops(size) / least;
    }
  }

  private static double flops(int size) {
    return 2.0 * size * size * size;
  }
}
