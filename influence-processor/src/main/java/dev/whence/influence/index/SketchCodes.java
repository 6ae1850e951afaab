package dev.whence.influence.index;

/**
 * A sketch rounded to int8, the largest of its numbers to 127: what an index keeps of a document.
 *
 * @param codes k of them
 * @param scale what a code of 1 stands for
 */
@SuppressWarnings("ArrayRecordComponent") // compared nowhere
public record SketchCodes(byte[] codes, float scale) {
  /** Rounds a sketch. */
  public static SketchCodes of(float[] sketch) {
    float largest = 0;
    for (float value : sketch) {
      largest = Math.max(largest, Math.abs(value));
    }
    float scale = largest == 0 ? 1 : largest / Byte.MAX_VALUE;
    byte[] codes = new byte[sketch.length];
    for (int i = 0; i < codes.length; i++) {
      codes[i] = (byte) Math.round(sketch[i] / scale);
    }
    return new SketchCodes(codes, scale);
  }

  /** The scalar product with a query's sketch. */
  public double product(float[] query) {
    double sum = 0;
    for (int i = 0; i < codes.length; i++) {
      sum += query[i] * codes[i];
    }
    return sum * scale;
  }
}
