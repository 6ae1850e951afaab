package dev.whence.transfer.merge;

import dev.whence.engine.weights.ElementType;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The arithmetic of a transfer, element by element:
 *
 * <pre>
 * M = round(T + lambda (F - B))      (2503.20110, section 2)
 * </pre>
 *
 * in double, with one {@linkplain Rounding rounding} from double to the result's type; narrower
 * inputs are widened exactly. Where T and B are the same bits and lambda is 1, the result is F
 * itself, rounded once: {@code T + (F - B)} would turn -0.0 into 0.0 and lose F's low bits where B
 * is far larger. Where lambda is 0, it is T itself.
 *
 * <p>Elements go through in blocks that stay in the first cache: widened once for all lambdas,
 * added in plain loops, rounded into shorts, and copied into the direct buffer as a whole. One
 * kernel belongs to one thread.
 */
final class MergeKernel {
  private static final int BLOCK = 2048;

  private final double[] lambdas;
  private final Policies.NonFinite nonFinite;
  private final double[] target = new double[BLOCK];
  private final double[] base = new double[BLOCK];
  private final double[] fineTuned = new double[BLOCK];
  private final double[] merged = new double[BLOCK];
  private final short[] shorts = new short[BLOCK];
  private final int[] ints = new int[BLOCK];
  private final Bf16Kernel bf16 = new Bf16Kernel();

  /** A NaN, an infinity, or a result that is too large for its type. */
  static final class NonFiniteException extends Exception {
    private static final long serialVersionUID = 1L;
    private final long element;

    NonFiniteException(long element, String what) {
      super(what);
      this.element = element;
    }

    /** Counted from the first element of the buffers. */
    long element() {
      return element;
    }
  }

  /** One of the three inputs: little-endian elements from the buffer's position on. */
  record Input(ElementType type, ByteBuffer bytes) {
    int bits(int element) {
      return type.bytes() == Short.BYTES
          ? bytes.getShort(bytes.position() + element * Short.BYTES)
          : bytes.getInt(bytes.position() + element * Integer.BYTES);
    }
  }

  MergeKernel(double[] lambdas, Policies.NonFinite nonFinite) {
    this.lambdas = lambdas.clone();
    this.nonFinite = nonFinite;
  }

  /**
   * Merges some elements.
   *
   * @param elements how many
   * @param outputs one buffer for each lambda, written from its position on in the target's type;
   *     positions stay
   * @throws NonFiniteException if the policy refuses what is not finite
   */
  void merge(Input t, Input b, Input f, int elements, ByteBuffer[] outputs)
      throws NonFiniteException {
    boolean allBf16 =
        t.type() == ElementType.BF16
            && b.type() == ElementType.BF16
            && f.type() == ElementType.BF16;
    if (allBf16 && lambdas.length == 1 && lambdas[0] == 1) {
      mergeBf16(t, b, f, elements, outputs);
    } else {
      merge(t, b, f, 0, elements, outputs);
    }
  }

  /** By the fast way, and what that leaves in doubt by the general one. */
  private void mergeBf16(Input t, Input b, Input f, int elements, ByteBuffer[] outputs)
      throws NonFiniteException {
    for (int at = 0; at < elements; at += Bf16Kernel.BLOCK) {
      int n = Math.min(Bf16Kernel.BLOCK, elements - at);
      int even = n & ~1;
      if (bf16.merge(
          slice(t.bytes(), at, even),
          slice(b.bytes(), at, even),
          slice(f.bytes(), at, even),
          even,
          slice(outputs[0], at, even))) {
        for (int i = 0; i < even; i++) {
          if (bf16.doubtful(i)) {
            merge(t, b, f, at + i, at + i + 1, outputs);
          }
        }
      }
      merge(t, b, f, at + even, at + n, outputs);
    }
  }

  private static ByteBuffer slice(ByteBuffer buffer, int element, int elements) {
    return buffer.slice(buffer.position() + element * Short.BYTES, elements * Short.BYTES);
  }

  private void merge(Input t, Input b, Input f, int from, int to, ByteBuffer[] outputs)
      throws NonFiniteException {
    for (int at = from; at < to; at += BLOCK) {
      int n = Math.min(BLOCK, to - at);
      widen(t, at, n, target);
      widen(b, at, n, base);
      widen(f, at, n, fineTuned);
      for (int k = 0; k < lambdas.length; k++) {
        add(lambdas[k], n);
        boolean finite = round(t.type(), n, outputs[k], at);
        if (!finite || (lambdas[k] == 0 && !allFinite(n))) {
          settle(new Input[] {t, b, f}, lambdas[k], at, n, outputs[k]);
        }
      }
    }
  }

  private void add(double lambda, int n) {
    if (lambda == 1) {
      for (int i = 0; i < n; i++) {
        double t = target[i];
        boolean same =
            Double.doubleToRawLongBits(t) == Double.doubleToRawLongBits(base[i])
                && Double.isFinite(t);
        merged[i] = same ? fineTuned[i] : t + (fineTuned[i] - base[i]);
      }
    } else if (lambda == 0) {
      System.arraycopy(target, 0, merged, 0, n);
    } else {
      for (int i = 0; i < n; i++) {
        merged[i] = target[i] + lambda * (fineTuned[i] - base[i]);
      }
    }
  }

  /** Rounds {@link #merged}; false if a result is not finite. */
  private boolean round(ElementType type, int n, ByteBuffer output, int at) {
    int at0 = output.position() + at * type.bytes();
    int largest = 0;
    switch (type) {
      case BF16 -> {
        for (int i = 0; i < n; i++) {
          int rounded = Rounding.toBf16(merged[i]);
          largest = Math.max(largest, rounded & 0x7fff);
          shorts[i] = (short) rounded;
        }
        bytes(output, at0, n * Short.BYTES).asShortBuffer().put(shorts, 0, n);
        return largest < Rounding.BF16_INFINITY;
      }
      case F16 -> {
        for (int i = 0; i < n; i++) {
          int rounded = Rounding.toF16(merged[i]);
          largest = Math.max(largest, rounded & 0x7fff);
          shorts[i] = (short) rounded;
        }
        bytes(output, at0, n * Short.BYTES).asShortBuffer().put(shorts, 0, n);
        return largest < Rounding.F16_INFINITY;
      }
      case F32 -> {
        for (int i = 0; i < n; i++) {
          ints[i] = Rounding.toF32(merged[i]);
          largest = Math.max(largest, ints[i] & Integer.MAX_VALUE);
        }
        bytes(output, at0, n * Integer.BYTES).asIntBuffer().put(ints, 0, n);
        return largest < 0x7f80_0000;
      }
    }
    throw new IllegalStateException("no such type: " + type);
  }

  private boolean allFinite(int n) {
    for (int i = 0; i < n; i++) {
      if (!Double.isFinite(base[i])
          || !Double.isFinite(fineTuned[i])
          || !Double.isFinite(target[i])) {
        return false;
      }
    }
    return true;
  }

  /** A block with something that is not finite: refused, or the bits that the policy wants. */
  private void settle(Input[] inputs, double lambda, int at, int n, ByteBuffer output)
      throws NonFiniteException {
    Input t = inputs[0];
    ElementType type = t.type();
    String[] names = {"target", "base", "fine-tuned model"};
    double[][] values = {target, base, fineTuned};
    boolean sameType = type == inputs[1].type() && type == inputs[2].type();
    for (int i = 0; i < n; i++) {
      boolean finite = Double.isFinite(merged[i]);
      for (int role = 0; role < 3; role++) {
        finite &= Double.isFinite(values[role][i]);
        if (nonFinite == Policies.NonFinite.FAIL && !Double.isFinite(values[role][i])) {
          throw new NonFiniteException(at + i, "is " + values[role][i] + " in the " + names[role]);
        }
      }
      if (nonFinite == Policies.NonFinite.FAIL && infinite(type, merged[i])) {
        throw new NonFiniteException(
            at + i, "becomes " + merged[i] + ", which is beyond the range of " + type);
      }
      if (!finite && sameType) {
        if (lambda == 0) {
          putBits(type, output, at + i, t.bits(at + i));
        } else if (lambda == 1 && t.bits(at + i) == inputs[1].bits(at + i)) {
          putBits(type, output, at + i, inputs[2].bits(at + i));
        }
      }
    }
  }

  private static boolean infinite(ElementType type, double value) {
    return switch (type) {
      case BF16 -> (Rounding.toBf16(value) & 0x7fff) >= Rounding.BF16_INFINITY;
      case F16 -> (Rounding.toF16(value) & 0x7fff) >= Rounding.F16_INFINITY;
      case F32 -> !Float.isFinite((float) value);
    };
  }

  private static void putBits(ElementType type, ByteBuffer output, int element, int bits) {
    int at = output.position() + element * type.bytes();
    if (type.bytes() == Short.BYTES) {
      output.putShort(at, (short) bits);
    } else {
      output.putInt(at, bits);
    }
  }

  private void widen(Input input, int from, int n, double[] to) {
    widen(input, from, n, to, shorts, ints);
  }

  /** Elements as doubles, exactly; the scratch arrays hold at least n. */
  static void widen(Input input, int from, int n, double[] to, short[] shorts, int[] ints) {
    ByteBuffer bytes =
        bytes(
            input.bytes(),
            input.bytes().position() + from * input.type().bytes(),
            n * input.type().bytes());
    switch (input.type()) {
      case BF16 -> {
        bytes.asShortBuffer().get(shorts, 0, n);
        for (int i = 0; i < n; i++) {
          to[i] = Float.intBitsToFloat(shorts[i] << 16);
        }
      }
      case F16 -> {
        bytes.asShortBuffer().get(shorts, 0, n);
        for (int i = 0; i < n; i++) {
          to[i] = fromF16(shorts[i]);
        }
      }
      case F32 -> {
        bytes.asIntBuffer().get(ints, 0, n);
        for (int i = 0; i < n; i++) {
          to[i] = Float.intBitsToFloat(ints[i]);
        }
      }
    }
  }

  /**
   * The exponent and mantissa moved to where a double has them are the number times 2^-1008, also
   * where it is subnormal; one exact multiplication brings it back. Infinity and NaN are the
   * numbers with the highest exponent.
   */
  static double fromF16(short bits) {
    long magnitude = (bits & 0x7fffL) << 42;
    double value = Double.longBitsToDouble(magnitude) * 0x1p1008;
    if (value >= 0x1p16) {
      value = Double.longBitsToDouble(magnitude | 0x7ff0_0000_0000_0000L);
    }
    return Double.longBitsToDouble(Double.doubleToRawLongBits(value) | (bits & 0x8000L) << 48);
  }

  private static ByteBuffer bytes(ByteBuffer buffer, int at, int bytes) {
    return buffer.slice(at, bytes).order(ByteOrder.LITTLE_ENDIAN);
  }
}
