package dev.whence.engine.weights;

import java.nio.ByteBuffer;

/** Element types that a {@link WeightSource} hands out; quantised GGUF types arrive as F32. */
public enum ElementType {
  F32(4),
  F16(2),
  BF16(2);

  private final int bytes;

  ElementType(int bytes) {
    this.bytes = bytes;
  }

  public int bytes() {
    return bytes;
  }

  /** Reads one little-endian element, exactly. */
  public float next(ByteBuffer buffer) {
    return switch (this) {
      case F32 -> buffer.getFloat();
      case F16 -> SixteenBits.fromF16(buffer.getShort());
      case BF16 -> Float.intBitsToFloat(buffer.getShort() << 16);
    };
  }
}
