package dev.whence.transfer.merge;

/**
 * A double to the nearest number of a narrower format, ties to even, in one step by integer
 * arithmetic on its bits. The way through float rounds twice: a double just above the middle of two
 * bf16 numbers becomes that middle as a float, and then the tie goes to the even neighbour.
 *
 * <p>With p bits of mantissa in the target, a normal number loses the lower {@code s = 52 - p} bits
 * of the double: {@code (bits + 2^(s-1) - 1 + bit s) >> s}, a carry runs into the exponent as it
 * should. Subnormal numbers are multiples of one unit u: the nearest integer to {@code |x| / u},
 * where the division by a power of two is exact.
 */
final class Rounding {
  private static final int BF16_SHIFT = 45;
  private static final int BF16_BIAS = (1023 - 127) << 7;
  private static final int F16_SHIFT = 42;
  private static final int F16_BIAS = (1023 - 15) << 10;

  static final int BF16_INFINITY = 0x7f80;
  static final int F16_INFINITY = 0x7c00;

  private Rounding() {}

  /**
   * Sixteen bits of bfloat16 in the lower half of an int; too large becomes infinite, NaN the
   * positive quiet one without payload.
   */
  static int toBf16(double value) {
    long bits = Double.doubleToRawLongBits(value);
    long magnitude = bits & Long.MAX_VALUE;
    int rounded = (int) (halfUp(magnitude, BF16_SHIFT) >>> BF16_SHIFT) - BF16_BIAS;
    if (rounded < 0x80) {
      rounded = (int) Math.rint(Math.abs(value) * 0x1p133);
    } else if (rounded >= BF16_INFINITY) {
      if (Double.isNaN(value)) {
        return 0x7fc0;
      }
      rounded = BF16_INFINITY;
    }
    return ((int) (bits >>> 48) & 0x8000) | rounded;
  }

  /** As {@link #toBf16} to IEEE 754 binary16. */
  static int toF16(double value) {
    long bits = Double.doubleToRawLongBits(value);
    long magnitude = bits & Long.MAX_VALUE;
    int rounded = (int) (halfUp(magnitude, F16_SHIFT) >>> F16_SHIFT) - F16_BIAS;
    if (rounded < 0x400) {
      rounded = (int) Math.rint(Math.abs(value) * 0x1p24);
    } else if (rounded >= F16_INFINITY) {
      if (Double.isNaN(value)) {
        return 0x7e00;
      }
      rounded = F16_INFINITY;
    }
    return ((int) (bits >>> 48) & 0x8000) | rounded;
  }

  /** As {@link #toBf16} to IEEE 754 binary32: the processor's own conversion rounds once. */
  static int toF32(double value) {
    return Float.floatToIntBits((float) value);
  }

  private static long halfUp(long magnitude, int shift) {
    return magnitude + (1L << (shift - 1)) - 1 + (magnitude >>> shift & 1);
  }
}
