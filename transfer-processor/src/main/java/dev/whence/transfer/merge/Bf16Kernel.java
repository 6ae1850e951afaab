package dev.whence.transfer.merge;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.Arrays;

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
 * What is an int for one loop is a float for the next by way of a copy. Whether anything special is
 * in a block is asked by comparing with an array of zeros, which is such an instruction, too, while
 * a loop that gathers one value is not. Blocks stay in the first cache. Cost: four copies and about
 * 40 operations for eight elements at a time. Belongs to one thread.
 */
final class Bf16Kernel {
  /** Ints of a block: half as many as elements. */
  private static final int PAIRS = 512;

  /** Elements of a block. */
  static final int BLOCK = 2 * PAIRS;

  private static final int UPPER = 0xffff_0000;
  private static final int SIGNS = 0x8000_8000;
  private static final int MAGNITUDES = 0x7fff_7fff;

  private final int[] target = new int[PAIRS];
  private final int[] base = new int[PAIRS];
  private final int[] fineTuned = new int[PAIRS];
  private final int[] even = new int[PAIRS];
  private final int[] odd = new int[PAIRS];
  private final int[] special = new int[PAIRS];
  private final float[] evenErrors = new float[PAIRS];
  private final float[] oddErrors = new float[PAIRS];

  private final int[] bits = new int[PAIRS];
  private final float[] t = new float[PAIRS];
  private final float[] b = new float[PAIRS];
  private final float[] f = new float[PAIRS];
  private final float[] sum = new float[PAIRS];
  private final int[] nothingSpecial = new int[PAIRS];
  private final float[] noErrors = new float[PAIRS];
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
   * @return whether some elements may be {@link #doubtful}: what was written there does not count
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
    add(n, evenErrors);
    round(n, even);

    upper(target, n, t);
    upper(base, n, b);
    upper(fineTuned, n, f);
    add(n, oddErrors);
    round(n, odd);

    join(n);
    boolean plain = Arrays.equals(special, 0, n, nothingSpecial, 0, n);
    if (!plain) {
      keepWhereSame(n);
    }
    ints(output).put(even, 0, n);
    return !plain
        || !Arrays.equals(evenErrors, 0, n, noErrors, 0, n)
        || !Arrays.equals(oddErrors, 0, n, noErrors, 0, n);
  }

  /** Whether an element of the last block has to go the general way. */
  boolean doubtful(int element) {
    boolean isEven = (element & 1) == 0;
    int pair = element >> 1;
    int bits = isEven ? even[pair] : even[pair] >>> 16;
    return (bits & 0x7fff) >= Rounding.BF16_INFINITY
        || (isEven ? evenErrors : oddErrors)[pair] != 0; // or no number
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

  /**
   * {@code sum = t + (f - b)}, and what both steps lose: 0 where nothing, NaN where something is
   * not finite.
   */
  private void add(int n, float[] error) {
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

  /** The nearest bf16 number in the upper half, by its bits. */
  private void round(int n, int[] rounded) {
    reinterpret(sum, n);
    for (int i = 0; i < n; i++) {
      rounded[i] = bits[i] + 0x7fff + (bits[i] >>> 16 & 1);
    }
  }

  /** Both halves become one int; where the result is infinite, or F is -0.0, is noted by a bit. */
  private void join(int n) {
    for (int i = 0; i < n; i++) {
      even[i] = (even[i] >>> 16) | (odd[i] & UPPER);
    }
    for (int i = 0; i < n; i++) {
      int infinite = (even[i] & MAGNITUDES) + 0x0080_0080; // from 0x7f80 on up to the sign's bit
      int notZero = (fineTuned[i] & MAGNITUDES) + MAGNITUDES; // from 1 on
      special[i] = (infinite | (fineTuned[i] & ~notZero)) & SIGNS;
    }
  }

  /**
   * Where T and B are the same bits, the result is F's. An exact sum is F then, but for its sign
   * where F is -0.0: the sum of a number and its opposite is 0.0.
   */
  private void keepWhereSame(int n) {
    for (int i = 0; i < n; i++) {
      int different = target[i] ^ base[i];
      int low = different & 0xffff;
      int high = different >>> 16;
      int maskLow = -low >> 31 & 0xffff; // 0 where they are the same
      int maskHigh = -high >> 31 & UPPER;
      int mask = maskLow | maskHigh;
      even[i] = (even[i] & mask) | (fineTuned[i] & ~mask);
    }
  }
}
