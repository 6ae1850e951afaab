package dev.whence.engine.weights;

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
}
