package dev.whence.engine.kernel;

import ai.djl.Device;
import ai.djl.ndarray.types.Shape;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.jni.IValue;
import dev.whence.engine.EngineOptions;

/** Makes matrices on a device; closing it frees those that are left. */
public final class Matrices implements AutoCloseable {
  private final Kernel kernel;

  private Matrices(Kernel kernel) {
    this.kernel = kernel;
  }

  /**
   * Starts the native library where it is not running yet.
   *
   * @throws dev.whence.engine.EngineException of kind ENVIRONMENT if library or device fails
   */
  public static Matrices open(EngineOptions options) {
    Device device = TorchRuntime.device(TorchRuntime.start(options), options.device());
    return new Matrices(Kernel.load(KernelText.matrices(), device));
  }

  /** Whether its matrices are on a GPU. */
  public boolean onGpu() {
    return kernel.onGpu();
  }

  /** Zeros in fp64, for sums. */
  public Matrix zeros(int rows, int columns) {
    try (IValue n = IValue.from((long) rows);
        IValue m = IValue.from((long) columns);
        IValue code = IValue.from((long) Precision.FP64.code());
        IValue place = IValue.from(kernel.deviceName())) {
      return kernel.matrix(kernel.call("zeros", n, m, code, place));
    }
  }

  /** A matrix in fp32 whose elements are not set yet. */
  public Matrix room(int rows, int columns) {
    return kernel.matrix(kernel.allocate(Precision.FP32, rows, columns));
  }

  /** A matrix in fp64 of values row by row. */
  public Matrix of(int rows, int columns, double[] values) {
    check(rows, columns, values.length);
    return new Matrix(
        kernel, (PtNDArray) kernel.manager().create(values, new Shape(rows, columns)));
  }

  /** A matrix in fp32 of values row by row. */
  public Matrix of(int rows, int columns, float[] values) {
    check(rows, columns, values.length);
    return new Matrix(
        kernel, (PtNDArray) kernel.manager().create(values, new Shape(rows, columns)));
  }

  /** A matrix in bf16 whose elements are not set yet. */
  public Matrix roundedRoom(int rows, int columns) {
    return kernel.matrix(kernel.allocate(Precision.BF16, rows, columns));
  }

  /** An array of the same device, which stays its owner's. */
  Matrix wrap(PtNDArray array) {
    return new Matrix(kernel, array);
  }

  private static void check(int rows, int columns, int values) {
    if ((long) rows * columns != values) {
      throw new IllegalArgumentException(
          rows + " x " + columns + " elements are wanted, and there are " + values);
    }
  }

  @Override
  public void close() {
    kernel.close();
  }
}
