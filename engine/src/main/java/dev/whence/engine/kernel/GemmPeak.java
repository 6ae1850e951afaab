package dev.whence.engine.kernel;

import ai.djl.Device;
import ai.djl.pytorch.jni.IValue;
import dev.whence.engine.EngineOptions;
import java.util.ArrayList;
import java.util.List;

/**
 * The fastest matrix product that the native library manages on a device, measured through the same
 * library and the same call as the decoder's linear layers: what efficiencies are fractions of.
 *
 * @param bf16 FLOP/s (2 per multiply-add) of a square product in bf16
 * @param fp32 the same in fp32
 */
public record GemmPeak(double bf16, double fp32) {
  private static final int MEASURE_SIZE = 2048;
  private static final int REPEATS = 5;
  private static final double ENOUGH_SECONDS = 2;

  /**
   * Measures with products of 2048 x 2048 matrices: the best of five, or of what is done within two
   * seconds where the processor has no instructions for the dtype.
   */
  public static GemmPeak measure(EngineOptions options) {
    Device device = TorchRuntime.device(TorchRuntime.start(options), options.device());
    try (Kernel kernel = Kernel.load(KernelText.of("llama"), device)) {
      return measure(kernel, MEASURE_SIZE, REPEATS);
    }
  }

  /** FLOP/s in fp32 alone: bf16 takes seconds where the processor has no instructions for it. */
  public static double fp32(EngineOptions options) {
    Device device = TorchRuntime.device(TorchRuntime.start(options), options.device());
    try (Kernel kernel = Kernel.load(KernelText.of("llama"), device)) {
      return rate(kernel, Precision.FP32, MEASURE_SIZE, REPEATS);
    }
  }

  static GemmPeak measure(Kernel kernel, int size, int repeats) {
    return new GemmPeak(
        rate(kernel, Precision.BF16, size, repeats), rate(kernel, Precision.FP32, size, repeats));
  }

  private static double rate(Kernel kernel, Precision precision, int size, int repeats) {
    try (IValue a = ones(kernel, precision, size);
        IValue b = ones(kernel, precision, size)) {
      List<Double> seconds = new ArrayList<>();
      kernel.call("gemm", a, b).close(); // warms up
      double total = 0;
      while (seconds.isEmpty() || (seconds.size() < repeats && total < ENOUGH_SECONDS)) {
        long start = System.nanoTime();
        kernel.call("gemm", a, b).close();
        double elapsed = (System.nanoTime() - start) * 1e-9;
        seconds.add(elapsed);
        total += elapsed;
      }
      double best = seconds.stream().mapToDouble(Double::doubleValue).min().orElseThrow();
      return 2.0 * size * size * size / best;
    }
  }

  private static IValue ones(Kernel kernel, Precision precision, int size) {
    try (IValue empty = kernel.allocate(precision, size, size);
        IValue one = IValue.from(1.0)) {
      return kernel.call("constant", empty, one);
    }
  }
}
