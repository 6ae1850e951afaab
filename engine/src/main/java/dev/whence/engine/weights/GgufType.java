package dev.whence.engine.weights;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Optional;

/**
 * GGML tensor types: how many elements a block has, how many bytes it takes, and what it decodes
 * to.
 *
 * <p>Source: ggml-common.h and the reference dequantisation in ggml-quants.c of ggml; field names
 * below are those of its block structs. d and dmin are IEEE half floats, all little-endian.
 */
enum GgufType {
  F32(0, 1, 4),
  F16(1, 1, 2),
  Q4_0(2, 32, 18),
  Q4_1(3, 32, 20),
  Q5_0(6, 32, 22),
  Q5_1(7, 32, 24),
  Q8_0(8, 32, 34),
  Q4_K(12, 256, 144),
  Q5_K(13, 256, 176),
  Q6_K(14, 256, 210),
  BF16(30, 1, 2);

  private final int id;
  private final int blockElements;
  private final int blockBytes;

  GgufType(int id, int blockElements, int blockBytes) {
    this.id = id;
    this.blockElements = blockElements;
    this.blockBytes = blockBytes;
  }

  static Optional<GgufType> of(int id) {
    return Arrays.stream(values()).filter(type -> type.id == id).findFirst();
  }

  int blockElements() {
    return blockElements;
  }

  int blockBytes() {
    return blockBytes;
  }

  /** The type that tensors of it are handed out as. */
  ElementType element() {
    return switch (this) {
      case F16 -> ElementType.F16;
      case BF16 -> ElementType.BF16;
      default -> ElementType.F32;
    };
  }

  boolean isQuantised() {
    return blockElements > 1;
  }

  /**
   * Decodes one block.
   *
   * @param in little-endian, the block begins at {@code at}
   * @param out receives {@link #blockElements()} values from index 0
   */
  void dequantise(ByteBuffer in, int at, float[] out) {
    switch (this) {
      case Q4_0 -> q4(in, half(in, at), -8 * half(in, at), at + 2, out);
      case Q4_1 -> q4(in, half(in, at), half(in, at + 2), at + 4, out);
      case Q5_0 -> q5(in, half(in, at), -16 * half(in, at), in.getInt(at + 2), at + 6, out);
      case Q5_1 -> q5(in, half(in, at), half(in, at + 2), in.getInt(at + 4), at + 8, out);
      case Q8_0 -> {
        float d = half(in, at);
        for (int i = 0; i < 32; i++) {
          out[i] = d * in.get(at + 2 + i);
        }
      }
      case Q4_K -> q4k(in, at, out);
      case Q5_K -> q5k(in, at, out);
      case Q6_K -> q6k(in, at, out);
      case F32, F16, BF16 -> throw new IllegalStateException(this + " is not quantised");
    }
  }

  /** 32 nibbles: the low ones are elements 0 to 15, the high ones 16 to 31. */
  private static void q4(ByteBuffer in, float d, float m, int qs, float[] out) {
    for (int i = 0; i < 16; i++) {
      int q = in.get(qs + i) & 0xff;
      out[i] = d * (q & 0xf) + m;
      out[i + 16] = d * (q >> 4) + m;
    }
  }

  /** As {@link #q4}, with the fifth bit of element i at bit i of qh. */
  private static void q5(ByteBuffer in, float d, float m, int qh, int qs, float[] out) {
    for (int i = 0; i < 16; i++) {
      int q = in.get(qs + i) & 0xff;
      out[i] = d * ((q & 0xf) | ((qh >>> i) & 1) << 4) + m;
      out[i + 16] = d * ((q >> 4) | ((qh >>> (i + 16)) & 1) << 4) + m;
    }
  }

  /** block_q4_K: d, dmin, scales[12] (8 pairs of 6 bits), qs[128]. */
  private static void q4k(ByteBuffer in, int at, float[] out) {
    float d = half(in, at);
    float dmin = half(in, at + 2);
    for (int group = 0; group < 8; group++) {
      float scale = d * scale(in, at + 4, group);
      float min = dmin * minimum(in, at + 4, group);
      int qs = at + 16 + 32 * (group / 2);
      int shift = 4 * (group % 2);
      for (int i = 0; i < 32; i++) {
        out[32 * group + i] = scale * (((in.get(qs + i) & 0xff) >> shift) & 0xf) - min;
      }
    }
  }

  /** block_q5_K: d, dmin, scales[12], qh[32] (bit group of byte i), qs[128]. */
  private static void q5k(ByteBuffer in, int at, float[] out) {
    float d = half(in, at);
    float dmin = half(in, at + 2);
    for (int group = 0; group < 8; group++) {
      float scale = d * scale(in, at + 4, group);
      float min = dmin * minimum(in, at + 4, group);
      int qs = at + 48 + 32 * (group / 2);
      int shift = 4 * (group % 2);
      for (int i = 0; i < 32; i++) {
        int high = (((in.get(at + 16 + i) & 0xff) >> group) & 1) << 4;
        out[32 * group + i] = scale * ((((in.get(qs + i) & 0xff) >> shift) & 0xf) | high) - min;
      }
    }
  }

  /** block_q6_K: ql[128], qh[64], scales[16] (int8), d. */
  private static void q6k(ByteBuffer in, int at, float[] out) {
    float d = half(in, at + 208);
    for (int i = 0; i < 256; i++) {
      int part = i / 128;
      int quarter = i % 128 / 32;
      int lane = i % 32;
      int low = in.get(at + 64 * part + lane + 32 * (quarter % 2)) & 0xff;
      low = quarter < 2 ? low & 0xf : low >> 4;
      int high = ((in.get(at + 128 + 32 * part + lane) & 0xff) >> (2 * quarter)) & 3;
      float scale = d * in.get(at + 192 + i / 16);
      out[i] = scale * ((low | high << 4) - 32);
    }
  }

  /** The 6-bit scale of a group; get_scale_min_k4 of ggml. */
  private static int scale(ByteBuffer in, int scales, int group) {
    return group < 4
        ? in.get(scales + group) & 63
        : (in.get(scales + group + 4) & 0xf) | ((in.get(scales + group - 4) & 0xff) >> 6) << 4;
  }

  private static int minimum(ByteBuffer in, int scales, int group) {
    return group < 4
        ? in.get(scales + group + 4) & 63
        : ((in.get(scales + group + 4) & 0xff) >> 4) | ((in.get(scales + group) & 0xff) >> 6) << 4;
  }

  /** IEEE half to float; Java has it only from 20 on. */
  static float half(ByteBuffer in, int at) {
    return SixteenBits.fromF16(in.getShort(at));
  }
}
