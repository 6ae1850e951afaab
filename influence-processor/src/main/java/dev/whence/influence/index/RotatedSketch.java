package dev.whence.influence.index;

/**
 * A sketch under a fixed orthonormal map that mixes its numbers, so that each of them is about
 * Gaussian whatever the vectors are: what {@link SignCodes} assume. (A few large coordinates, or a
 * gradient of few tokens, would otherwise make signs of related vectors agree more or less often
 * than their angle says.) Scalar products stay as they are.
 *
 * <p>The map is a Walsh-Hadamard transform of blocks of up to {@value #BLOCK} numbers, over those
 * at the same place modulo {@value #LANES} (so that all of its loops are vectorised); where the
 * blocks leave a rest, the last block once more. Random signs before it, as in RaBitQ's rotation,
 * are the sketch's own. Cost: k log2({@value #BLOCK} / {@value #LANES}) additions.
 *
 * @param values k numbers
 */
@SuppressWarnings("ArrayRecordComponent") // compared nowhere
public record RotatedSketch(float[] values) {
  private static final int BLOCK = 1 << 15;
  private static final int LANES = 8;

  /**
   * Rotates a sketch.
   *
   * @param sketch k numbers, a multiple of {@link SignCodes#WORD}; not changed
   */
  public static RotatedSketch of(float[] sketch) {
    int unused = SignCodes.words(sketch.length);
    float[] values = sketch.clone();
    int block = Math.min(BLOCK, Integer.highestOneBit(values.length));
    for (int from = 0; from + block <= values.length; from += block) {
      transform(values, from, block);
    }
    if (values.length % block != 0) {
      transform(values, values.length - block, block);
    }
    return new RotatedSketch(values);
  }

  private static void transform(float[] values, int from, int block) {
    for (int half = LANES; half < block; half *= 2) {
      for (int start = from; start < from + block; start += 2 * half) {
        for (int i = start; i < start + half; i++) {
          float a = values[i];
          float b = values[i + half];
          values[i] = a + b;
          values[i + half] = a - b;
        }
      }
    }
    float scale = (float) Math.sqrt((double) LANES / block);
    for (int i = from; i < from + block; i++) {
      values[i] *= scale;
    }
  }
}
