package dev.whence.transfer.merge;

import dev.whence.engine.weights.ElementType;
import java.math.BigDecimal;

/**
 * Rounding as the standard defines it, slowly: all numbers of a format in order of their bits, the
 * two around a value by bisection, exact distances in decimals, and the even one of two that are
 * equally near. Shares no arithmetic with the code under test.
 */
final class NearestByDecimals {
  private NearestByDecimals() {}

  /** Bits of a finite value in a format, or of infinity where it is too large. */
  static int bits(ElementType type, double value) {
    BigDecimal wanted = new BigDecimal(value).abs();
    double size = Math.abs(value);
    int low = 0;
    int high = infinity(type);
    while (high - low > 1) {
      int middle = (low + high) >>> 1;
      if (size(type, middle) <= size) { // all numbers of the formats are doubles
        low = middle;
      } else {
        high = middle;
      }
    }
    int order =
        wanted.subtract(magnitude(type, low)).compareTo(magnitude(type, high).subtract(wanted));
    int nearest = order < 0 || (order == 0 && low % 2 == 0) ? low : high;
    boolean negative = Double.doubleToRawLongBits(value) < 0;
    return negative ? nearest | sign(type) : nearest;
  }

  /** The value of some bits without their sign; infinity stands for the next power of two. */
  private static double size(ElementType type, int bits) {
    int mantissaBits = mantissaBits(type);
    int exponent = bits >>> mantissaBits;
    long mantissa = bits & ((1L << mantissaBits) - 1);
    int lowest = type == ElementType.F16 ? -14 : -126;
    long whole = exponent == 0 ? mantissa : mantissa | 1L << mantissaBits;
    return Math.scalb((double) whole, Math.max(exponent, 1) - 1 + lowest - mantissaBits);
  }

  private static BigDecimal magnitude(ElementType type, int bits) {
    return new BigDecimal(size(type, bits));
  }

  /** The double that some finite bits stand for. */
  static double value(ElementType type, int bits) {
    double magnitude = size(type, bits & (sign(type) - 1));
    return (bits & sign(type)) == 0 ? magnitude : -magnitude;
  }

  static int infinity(ElementType type) {
    return switch (type) {
      case BF16 -> 0x7f80;
      case F16 -> 0x7c00;
      case F32 -> 0x7f80_0000;
    };
  }

  private static int mantissaBits(ElementType type) {
    return switch (type) {
      case BF16 -> 7;
      case F16 -> 10;
      case F32 -> 23;
    };
  }

  static int sign(ElementType type) {
    return type == ElementType.F32 ? Integer.MIN_VALUE : 0x8000;
  }
}
