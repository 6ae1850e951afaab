package dev.whence.engine.kernel;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.jni.IValue;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.LongStream;

/**
 * A matrix on the device, in fp32, fp64 or bf16, with the few operations that curvature needs.
 * Results are new matrices that the caller closes; {@code add...} change the matrix they are called
 * on. Operands of a product are of one type, but what {@link #times} multiplies by may be in bf16;
 * sums in fp64 take products in fp32.
 */
public final class Matrix implements AutoCloseable {
  private final Kernel kernel;
  private final PtNDArray array;

  Matrix(Kernel kernel, PtNDArray array) {
    this.kernel = kernel;
    this.array = array;
  }

  /**
   * Eigenvalues and eigenvectors of a symmetric matrix.
   *
   * @param values ascending
   * @param vectors one per column
   */
  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  public record Eigen(double[] values, Matrix vectors) {}

  public int rows() {
    return (int) array.getShape().get(0);
  }

  public int columns() {
    return (int) array.getShape().get(1);
  }

  /**
   * Overwrites elements, row by row.
   *
   * @param first number of the first one
   * @param doubles little-endian float64 from position to limit, whatever the matrix keeps; direct
   */
  public void fill(int first, ByteBuffer doubles) {
    try (IValue self = IValue.from(array)) {
      kernel.fill(self, first, doubles, Precision.FP64.code());
    }
  }

  /** this += x' x. */
  public void addGram(Matrix x) {
    run("add_gram", x);
  }

  /** this += x. */
  public void add(Matrix x) {
    run("add", x);
  }

  /** this *= x, element by element. */
  public void scale(Matrix x) {
    run("scale", x);
  }

  /**
   * this += (x' y)^2, element by element, of each run of rows.
   *
   * @param runs of the rows of x and of y
   */
  public void addSquaredProducts(Matrix x, Matrix y, List<Taps.Run> runs) {
    try (IValue sum = IValue.from(array);
        IValue left = IValue.from(x.array);
        IValue right = IValue.from(y.array);
        IValue list = IValue.listFrom(bounds(runs))) {
      kernel.call("add_squared_products", sum, left, right, list).close();
    }
  }

  /** First row and the one after the last, of each run. */
  private static long[] bounds(List<Taps.Run> runs) {
    return runs.stream().flatMapToLong(run -> LongStream.of(run.from(), run.to())).toArray();
  }

  /** this += (x^2)' (y^2), squared element by element. */
  public void addProductOfSquares(Matrix x, Matrix y) {
    try (IValue sum = IValue.from(array);
        IValue left = IValue.from(x.array);
        IValue right = IValue.from(y.array)) {
      kernel.call("add_product_of_squares", sum, left, right).close();
    }
  }

  /**
   * this x, in the precision of this.
   *
   * @param x may be in bf16: this is rounded to it then, and so is the product
   */
  public Matrix times(Matrix x) {
    return result("product", x);
  }

  /** this x'. */
  public Matrix timesTransposed(Matrix x) {
    return result("product_transposed", x);
  }

  /** this' x. */
  public Matrix transposedTimes(Matrix x) {
    return result("transposed_product", x);
  }

  /** For each row the scalar product with that of x: one column. */
  public Matrix rowProducts(Matrix x) {
    return result("row_products", x);
  }

  /**
   * Some rows of (this' x) * w over a run of rows, the last product element by element. Several
   * threads may call this at once, each with a room of its own.
   *
   * @param run of the rows of this and of x
   * @param w [columns of this, columns of x]
   * @param first row of the product
   * @param n how many of its rows
   * @param room gets them, row by row, from its beginning on; the result is a view of it [1, n
   *     columns of x], valid until it is written again
   */
  public Matrix scaledProducts(Matrix x, Taps.Run run, Matrix w, int first, int n, Matrix room) {
    try (IValue self = IValue.from(array);
        IValue other = IValue.from(x.array);
        IValue from = IValue.from((long) run.from());
        IValue to = IValue.from((long) run.to());
        IValue scale = IValue.from(w.array);
        IValue row = IValue.from((long) first);
        IValue rows = IValue.from((long) n);
        IValue place = IValue.from(room.array)) {
      return kernel.matrix(
          kernel.call("scaled_products", self, other, from, to, scale, row, rows, place));
    }
  }

  /** Rows of a run: a view, valid as long as this is. */
  public Matrix rows(Taps.Run run) {
    try (IValue self = IValue.from(array);
        IValue from = IValue.from((long) run.from());
        IValue n = IValue.from((long) run.length())) {
      return kernel.matrix(kernel.call("rows", self, from, n));
    }
  }

  /** Whether its elements are in fp64. */
  public boolean isDouble() {
    return array.getDataType() == DataType.FLOAT64;
  }

  /** Whether its elements are in bf16. */
  public boolean isRounded() {
    // DJL's native side has no name for bf16
    try (IValue self = IValue.from(array);
        IValue found = kernel.call("is_rounded", self)) {
      return found.toLong() == 1;
    }
  }

  /** In fp64: a copy, or the same elements if they are so already. */
  public Matrix inDouble() {
    return as(Precision.FP64);
  }

  /** In fp32: a copy, or the same elements if they are so already. */
  public Matrix inSingle() {
    return as(Precision.FP32);
  }

  /** In bf16: a copy, or the same elements if they are so already. */
  public Matrix inBf16() {
    return as(Precision.BF16);
  }

  private Matrix as(Precision precision) {
    try (IValue self = IValue.from(array);
        IValue code = IValue.from((long) precision.code())) {
      return kernel.matrix(kernel.call("as_type", self, code));
    }
  }

  /** Decomposes a symmetric matrix, in its own precision (LAPACK's syevd). */
  public Eigen eigen() {
    try (IValue self = IValue.from(array);
        IValue pair = kernel.call("eigh", self)) {
      PtNDArray[] both = pair.toTensorArray(kernel.host());
      try (PtNDArray values = both[0]) {
        return new Eigen(doubles(values), new Matrix(kernel, both[1]));
      }
    }
  }

  /** All elements, row by row. */
  public float[] floats() {
    if (array.getDataType() == DataType.FLOAT32) {
      return array.toFloatArray();
    }
    throw notInSingle();
  }

  private static IllegalStateException notInSingle() {
    return new IllegalStateException("the matrix is not in fp32");
  }

  /**
   * Lends all elements of a matrix in fp32, row by row: where they lie, or, of a GPU, copied.
   *
   * @param reader may read them until it returns
   */
  public void read(Consumer<FloatBuffer> reader) {
    if (array.getDataType() != DataType.FLOAT32) {
      throw notInSingle();
    }
    if (!kernel.onGpu()) {
      reader.accept(array.toByteBuffer(true).asFloatBuffer());
      return;
    }
    try (NDArray copy = array.toDevice(Device.cpu(), true)) {
      reader.accept(copy.toByteBuffer(true).asFloatBuffer());
    }
  }

  /** All elements, row by row. */
  public double[] doubles() {
    return doubles(array);
  }

  private static double[] doubles(PtNDArray array) {
    if (array.getDataType() == DataType.FLOAT64) {
      return array.toDoubleArray();
    }
    float[] floats = array.toFloatArray();
    double[] doubles = new double[floats.length];
    for (int i = 0; i < floats.length; i++) {
      doubles[i] = floats[i];
    }
    return doubles;
  }

  private void run(String method, Matrix x) {
    try (IValue self = IValue.from(array);
        IValue other = IValue.from(x.array)) {
      kernel.call(method, self, other).close();
    }
  }

  private Matrix result(String method, Matrix x) {
    try (IValue self = IValue.from(array);
        IValue other = IValue.from(x.array)) {
      return kernel.matrix(kernel.call(method, self, other));
    }
  }

  @Override
  public String toString() {
    Shape shape = array.getShape();
    return "Matrix" + shape + " " + array.getDataType();
  }

  @Override
  public void close() {
    array.close();
  }
}
