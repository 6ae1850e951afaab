package dev.whence.transfer.merge;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;

/**
 * The commonest transfer, {@code round(T + (F - B))} with all of it bf16, to the same bits as
 * {@link MergeKernel} and several times as fast.
 *
 * <p>A bf16 number has 8 bits of mantissa, a float 24: {@code d = F - B} and {@code s = T + d} are
 * exact in float unless the numbers are some 2^16 apart. Whether they are is known by Knuth's
 * two-sum, which gives the error of a sum exactly. Where both errors are 0, s is the exact sum, and
 * in double it would be the same; its upper half, rounded to nearest even by adding {@code 0x7fff +
 * bit 16}, is the result. The other elements, and whatever is not finite, are named in {@link
 * #doubtful} for the general way.
 *
 * <p>All loops are plain ones over arrays of one type, which the JIT compiler turns into vector
 * instructions; two elements lie in an int, and the even and the odd ones go through separately.
 * What is an int for one loop is a float for the next by way of a copy. Blocks stay in the first
 * cache. Cost: four copies and about 40 operations for eight elements at a time. Belongs to one
 * thread.
 */
final class Bf16Kernel {
  /** Ints of a block: half as many as elements. */
  private static final int PAIRS = 512;

  /** Elements of a block. */
  static final int BLOCK = 2 * PAIRS;

  private static final int UPPER = 0xffff_0000;

  private final int[] target = new int[PAIRS];
  private final int[] base = new int[PAIRS];
  private final int[] fineTuned = new int[PAIRS];
  private final int[] even = new int[PAIRS];
  private final int[] odd = new int[PAIRS];
  private final int[] evenDoubts = new int[PAIRS];
  private final int[] oddDoubts = new int[PAIRS];

  private final int[] bits = new int[PAIRS];
  private final float[] t = new float[PAIRS];
  private final float[] b = new float[PAIRS];
  private final float[] f = new float[PAIRS];
  private final float[] sum = new float[PAIRS];
  private final float[] error = new float[PAIRS];
  private final IntBuffer asInts;
  private final FloatBuffer asFloats;

  Bf16Kernel() {
    ByteBuffer bytes =
        ByteBuffer.allocateDirect(PAIRS * Integer.BYTES).order(ByteOrder.nativeOrder());
    asInts = bytes.asIntBuffer();
    asFloats = bytes.asFloatBuffer();
  }

  /**
   * Merges a block.
   *
   * @param elements at most {@link #BLOCK}, even
   * @param output written from its position on; positions stay
   * @return whether some elements are {@link #doubtful}: what was written there does not count
   */
  boolean merge(
      ByteBuffer ofTarget,
      ByteBuffer ofBase,
      ByteBuffer ofFineTuned,
      int elements,
      ByteBuffer output) {
    int n = elements / 2;
    ints(ofTarget).get(target, 0, n);
    ints(ofBase).get(base, 0, n);
    ints(ofFineTuned).get(fineTuned, 0, n);

    lower(target, n, t);
    lower(base, n, b);
    lower(fineTuned, n, f);
    add(n);
    round(n, even, evenDoubts);

    upper(target, n, t);
    upper(base, n, b);
    upper(fineTuned, n, f);
    add(n);
    round(n, odd, oddDoubts);

    keepWhereSame(n);
    ints(output).put(even, 0, n);
    int doubts = 0;
    for (int i = 0; i < n; i++) {
      doubts |= evenDoubts[i] | oddDoubts[i];
    }
    return (doubts & Integer.MAX_VALUE) != 0;
  }

  /** Whether an element of the last block has to go the general way. */
  boolean doubtful(int element) {
    int[] doubts = (element & 1) == 0 ? evenDoubts : oddDoubts;
    return (doubts[element >> 1] & Integer.MAX_VALUE) != 0;
  }

  private static IntBuffer ints(ByteBuffer bytes) {
    return bytes.slice().order(ByteOrder.LITTLE_ENDIAN).asIntBuffer();
  }

  /** The even elements as floats. */
  private void lower(int[] pairs, int n, float[] to) {
    for (int i = 0; i < n; i++) {
      bits[i] = pairs[i] << 16;
    }
    reinterpret(n, to);
  }

  /** The odd elements as floats. */
  private void upper(int[] pairs, int n, float[] to) {
    for (int i = 0; i < n; i++) {
      bits[i] = pairs[i] & UPPER;
    }
    reinterpret(n, to);
  }

  private void reinterpret(int n, float[] to) {
    asInts.put(0, bits, 0, n);
    asFloats.get(0, to, 0, n);
  }

  private void reinterpret(float[] from, int n) {
    asFloats.put(0, from, 0, n);
    asInts.get(0, bits, 0, n);
  }

  /** {@code sum = t + (f - b)}, and what both steps lose; NaN where something is not finite. */
  private void add(int n) {
    for (int i = 0; i < n; i++) {
      float d = f[i] - b[i];
      float part = d - f[i];
      float lost = (f[i] - (d - part)) - (b[i] + part);
      float s = t[i] + d;
      float other = s - t[i];
      float more = (t[i] - (s - other)) + (d - other);
      sum[i] = s;
      // Squares can not cancel each other, but can vanish: so the absolute values.
      error[i] = Math.abs(lost) + Math.abs(more);
    }
  }

  /** The nearest bf16 number in the upper half; a doubt where it is not sure. */
  private void round(int n, int[] rounded, int[] doubts) {
    reinterpret(error, n);
    System.arraycopy(bits, 0, doubts, 0, n);
    reinterpret(sum, n);
    for (int i = 0; i < n; i++) {
      rounded[i] = bits[i] + 0x7fff + (bits[i] >>> 16 & 1);
    }
    for (int i = 0; i < n; i++) {
      // 0x7f80 and above is infinite, or no number: one more, and the sign's bit is set.
      doubts[i] |= ((rounded[i] & Integer.MAX_VALUE) + 0x0080_0000) >>> 31;
    }
  }

  /** Where T and B are the same bits, the result is F's; then both halves become one int. */
  private void keepWhereSame(int n) {
    for (int i = 0; i < n; i++) {
      int different = target[i] ^ base[i];
      int low = different & 0xffff;
      int high = different >>> 16;
      int maskLow = -low >> 31 & 0xffff; // 0 where they are the same
      int maskHigh = -high >> 31 & UPPER;
      int mask = maskLow | maskHigh;
      int merged = (even[i] >>> 16) | (odd[i] & UPPER);
      even[i] = (merged & mask) | (fineTuned[i] & ~mask);
    }
  }
}
