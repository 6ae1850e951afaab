package dev.whence.influence.index;

/**
 * What an index keeps of a document's rotated sketch x: the signs of its k numbers, one bit each,
 * and one scale,
 *
 * <pre>
 *   x~ = c sign(x),   c = |x|^2 / sum_i |x_i|
 * </pre>
 *
 * so that x~ has the scalar product |x|^2 with x (RaBitQ, Gao and Long 2024, section 3.2, has the
 * same estimator for normalised vectors). As the numbers of x are about Gaussian, a product with q
 * has a standard error of about |q| |x| sqrt((pi / 2 - 1) / k) from the rounding, beside |q| |x| /
 * sqrt(k) from the sketch: together |q| |x| sqrt(pi / (2 k)). So a bit for a number costs a factor
 * of 1.57 in variance, and buys eight times as many numbers as a byte: at equal size the error is
 * 2.3 times smaller.
 *
 * @param signs k / 64 words; bit i % 64 of word i / 64 is set unless number i has a minus
 * @param scale c
 */
@SuppressWarnings("ArrayRecordComponent") // compared nowhere
public record SignCodes(long[] signs, float scale) {
  /** Numbers in a word. */
  public static final int WORD = Long.SIZE;

  /**
   * Keeps the signs of a sketch.
   *
   * @param rotated its numbers must be finite
   */
  public static SignCodes of(RotatedSketch rotated) {
    float[] sketch = rotated.values();
    long[] signs = new long[words(sketch.length)];
    double squares = 0;
    double sizes = 0;
    for (int i = 0; i < sketch.length; i++) {
      squares += (double) sketch[i] * sketch[i];
      sizes += Math.abs(sketch[i]);
      int negative = Float.floatToRawIntBits(sketch[i]) >>> (Integer.SIZE - 1); // -0.0 is
      signs[i / WORD] |= (long) (negative ^ 1) << i; // shifts count modulo 64
    }
    return new SignCodes(signs, sizes == 0 ? 0 : (float) (squares / sizes));
  }

  /**
   * Words for k numbers.
   *
   * @throws IllegalArgumentException if k fills no whole words
   */
  public static int words(int k) {
    if (k < 1 || k % WORD != 0) {
      throw new IllegalArgumentException(k + " numbers fill no whole words of " + WORD + " bits");
    }
    return k / WORD;
  }

  /** Bytes for k numbers. */
  public static int bytes(int k) {
    return words(k) * Long.BYTES;
  }
}
