package dev.whence.engine.weights;

/** 16-bit floats: from them exactly, to them to nearest, ties to even, by integer arithmetic. */
final class SixteenBits {
  private SixteenBits() {}

  /** The upper half of the bits, rounded; NaN stays NaN. */
  static short toBf16(float value) {
    int bits = Float.floatToRawIntBits(value);
    if (Float.isNaN(value)) {
      return (short) ((bits >>> 16) | 0x40);
    }
    return (short) ((bits + 0x7fff + (bits >>> 16 & 1)) >>> 16);
  }

  /** IEEE 754 binary16: subnormals are kept, what is too large becomes infinite; NaN stays NaN. */
  static short toF16(float value) {
    int bits = Float.floatToRawIntBits(value);
    int sign = bits >>> 16 & 0x8000;
    int magnitude = bits & 0x7fff_ffff;
    if (magnitude > 0x7f80_0000) {
      return (short) (sign | 0x7e00);
    }
    if (magnitude >= 0x477f_f000) { // rounds to 65536 or more
      return (short) (sign | 0x7c00);
    }
    if (magnitude < 0x3880_0000) { // below the smallest normal number: in steps of 2^-24
      return (short) (sign | (int) Math.rint(Float.intBitsToFloat(magnitude) * 0x1p24));
    }
    int rounded = (magnitude + 0xfff + (magnitude >>> 13 & 1)) >>> 13;
    return (short) (sign | (rounded - (112 << 10)));
  }

  /** IEEE 754 binary16, exactly. */
  static float fromF16(short value) {
    int bits = value & 0xffff;
    int sign = (bits & 0x8000) << 16;
    int exponent = (bits >> 10) & 0x1f;
    int mantissa = bits & 0x3ff;
    if (exponent == 0) {
      float subnormal = mantissa * 0x1p-24f;
      return sign == 0 ? subnormal : -subnormal;
    }
    int wide = exponent == 0x1f ? 0xff : exponent + 112;
    return Float.intBitsToFloat(sign | wide << 23 | mantissa << 13);
  }
}
