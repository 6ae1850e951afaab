package dev.whence.transfer.merge;

import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.SafetensorsFile;
import dev.whence.transfer.TransferException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;

/**
 * Runs the kernel on two models with T := B and compares with F bit for bit, in memory: the proof
 * that this machine's arithmetic does what the paper's formula says, on these very weights. Tensors
 * whose types differ can not be the same bits and are left out.
 */
public final class IdentityCheck {
  private static final int PIECE = 1 << 16;

  private IdentityCheck() {}

  /**
   * What was compared.
   *
   * @param different elements
   * @param first tensor with a different element, or empty
   */
  public record Result(long elements, long different, String first) {}

  /** Compares all tensors that both models have in the same type and shape. */
  public static Result of(Path base, Path fineTuned) {
    try (TensorReader b = TensorReader.open(Role.BASE, base);
        TensorReader f = TensorReader.open(Role.FINE_TUNED, fineTuned)) {
      MergeKernel kernel = new MergeKernel(new double[] {1}, Policies.NonFinite.PROPAGATE);
      ByteBuffer merged =
          ByteBuffer.allocateDirect(PIECE * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
      long elements = 0;
      long different = 0;
      String first = "";
      for (TensorReader.Info tensor : f.tensors().values()) {
        if (!tensor.isFloat() || !tensor.equals(b.tensors().get(tensor.name()))) {
          continue;
        }
        ElementType type = ElementType.valueOf(tensor.dtype());
        for (long at = 0; at < tensor.elements(); at += PIECE) {
          int n = (int) Math.min(PIECE, tensor.elements() - at);
          ByteBuffer theirs = f.raw(tensor.name(), at * type.bytes(), n * type.bytes());
          MergeKernel.Input both =
              new MergeKernel.Input(
                  type, b.raw(tensor.name(), at * type.bytes(), n * type.bytes()));
          merged.clear().limit(n * type.bytes());
          try {
            kernel.merge(
                both, both, new MergeKernel.Input(type, theirs), n, new ByteBuffer[] {merged});
          } catch (MergeKernel.NonFiniteException e) {
            throw new TransferException("everything passes, and yet: " + e.getMessage(), e);
          }
          long wrong = differences(type, merged, theirs, n);
          if (wrong > 0 && first.isEmpty()) {
            first = SafetensorsFile.printable(tensor.name());
          }
          different += wrong;
          elements += n;
        }
      }
      return new Result(elements, different, first);
    }
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
