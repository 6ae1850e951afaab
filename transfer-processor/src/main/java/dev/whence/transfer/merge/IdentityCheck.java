package dev.whence.transfer.merge;

import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.SafetensorsFile;
import dev.whence.transfer.TransferException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;

/**
 * Runs the kernel on two models with T := B and compares with F bit for bit, in memory: the proof
 * that this machine's arithmetic does what the paper's formula says, on these very weights. The
 * result has B's type; where F has another, it is compared with F {@linkplain Rounding rounded}
 * once to B's. Tensors that are in one model only, or have other shapes there, are left out and
 * counted.
 */
public final class IdentityCheck {
  private static final int PIECE = TensorReader.PIECE;

  private final MergeKernel kernel =
      new MergeKernel(new double[] {1}, Policies.NonFinite.PROPAGATE);
  private final ByteBuffer merged = buffer();
  private final ByteBuffer expected = buffer();
  private final double[] values = new double[PIECE];
  private final short[] shorts = new short[PIECE];
  private final int[] ints = new int[PIECE];

  private IdentityCheck() {}

  private static ByteBuffer buffer() {
    return ByteBuffer.allocateDirect(PIECE * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
  }

  /**
   * What was compared.
   *
   * @param elements all that were compared
   * @param rounded of them, those that F has in another type than B
   * @param different elements
   * @param first tensor with a different element, or empty
   * @param leftOut floating point tensors of F that B does not have in the same shape
   */
  public record Result(long elements, long rounded, long different, String first, long leftOut) {}

  /** Compares all floating point tensors that both models have in the same shape. */
  public static Result of(Path base, Path fineTuned) {
    try (TensorReader b = TensorReader.open(Role.BASE, base);
        TensorReader f = TensorReader.open(Role.FINE_TUNED, fineTuned)) {
      IdentityCheck check = new IdentityCheck();
      long elements = 0;
      long rounded = 0;
      long different = 0;
      long leftOut = 0;
      String first = "";
      for (TensorReader.Info tensor : f.tensors().values()) {
        if (!tensor.isFloat()) {
          continue;
        }
        TensorReader.Info theirs = b.tensors().get(tensor.name());
        if (theirs == null || !theirs.isFloat() || !theirs.shape().equals(tensor.shape())) {
          leftOut++;
          continue;
        }
        long wrong = check.differences(b, f, theirs, tensor);
        if (wrong > 0 && first.isEmpty()) {
          first = SafetensorsFile.printable(tensor.name());
        }
        different += wrong;
        elements += tensor.elements();
        rounded += theirs.dtype().equals(tensor.dtype()) ? 0 : tensor.elements();
      }
      return new Result(elements, rounded, different, first, leftOut);
    }
  }

  private long differences(
      TensorReader b, TensorReader f, TensorReader.Info base, TensorReader.Info fineTuned) {
    String name = fineTuned.name();
    ElementType type = ElementType.valueOf(base.dtype());
    ElementType from = ElementType.valueOf(fineTuned.dtype());
    long wrong = 0;
    for (long at = 0; at < fineTuned.elements(); at += PIECE) {
      int n = (int) Math.min(PIECE, fineTuned.elements() - at);
      MergeKernel.Input both =
          new MergeKernel.Input(type, b.raw(name, at * type.bytes(), n * type.bytes()));
      MergeKernel.Input theirs =
          new MergeKernel.Input(from, f.raw(name, at * from.bytes(), n * from.bytes()));
      merged.clear().limit(n * type.bytes());
      try {
        kernel.merge(both, both, theirs, n, new ByteBuffer[] {merged});
      } catch (MergeKernel.NonFiniteException e) {
        throw new TransferException("everything passes, and yet: " + e.getMessage(), e);
      }
      wrong +=
          differences(type, merged, from == type ? theirs.bytes() : rounded(type, theirs, n), n);
    }
    return wrong;
  }

  private ByteBuffer rounded(ElementType type, MergeKernel.Input theirs, int n) {
    MergeKernel.widen(theirs, 0, n, values, shorts, ints);
    expected.clear();
    for (int i = 0; i < n; i++) {
      switch (type) {
        case BF16 -> expected.putShort((short) Rounding.toBf16(values[i]));
        case F16 -> expected.putShort((short) Rounding.toF16(values[i]));
        case F32 -> expected.putInt(Rounding.toF32(values[i]));
      }
    }
    return expected.flip();
  }

  private static long differences(ElementType type, ByteBuffer one, ByteBuffer other, int n) {
    if (one.mismatch(other) < 0) {
      return 0;
    }
    long wrong = 0;
    for (int i = 0; i < n; i++) {
      if (new MergeKernel.Input(type, one).bits(i) != new MergeKernel.Input(type, other).bits(i)) {
        wrong++;
      }
    }
    return wrong;
  }
}
