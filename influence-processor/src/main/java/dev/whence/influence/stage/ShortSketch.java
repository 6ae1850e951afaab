package dev.whence.influence.stage;

import dev.whence.influence.InfluenceException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * A query's sketch in 16 bit: integers of one step, to the nearest.
 *
 * <pre>
 *   step = max |q| / 32767,   q' = step round(q / step),   |q_i - q'_i| &lt;= step / 2
 * </pre>
 *
 * So q' is wrong by at most sqrt(k) step / 2, in length. With the largest bucket at r times the
 * root mean square that is r / (2 * 32767) of |q|, 1.5e-4 for r = 10, and a scalar product with g
 * is wrong by no more than that times |g|. The estimate itself is wrong by |q| |g| sqrt(pi / (2
 * k)), 4e-2 for k = 1024, 2.4e-3 for k = 262,144. (Half precision: 5e-4 at worst, whatever r is.)
 *
 * @param step of the integers
 * @param bytes k integers, little-endian
 */
@SuppressWarnings("ArrayRecordComponent") // compared nowhere
record ShortSketch(float step, byte[] bytes) {
  private static final int LARGEST = Short.MAX_VALUE;

  static ShortSketch of(float[] sketch) {
    float largest = 0;
    for (float value : sketch) {
      if (!Float.isFinite(value)) {
        throw new InfluenceException(
            "The query's vector is not finite: choose a larger lambda, or look at the factors.");
      }
      largest = Math.max(largest, Math.abs(value));
    }
    float step = largest / LARGEST;
    ByteBuffer bytes =
        ByteBuffer.allocate(sketch.length * Short.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    for (float value : sketch) {
      long rounded = step == 0 ? 0 : Math.round((double) value / step);
      bytes.putShort((short) Math.max(-LARGEST, Math.min(LARGEST, rounded)));
    }
    return new ShortSketch(step, bytes.array());
  }

  /** q'. */
  float[] floats() {
    ByteBuffer in = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    float[] sketch = new float[bytes.length / Short.BYTES];
    for (int i = 0; i < sketch.length; i++) {
      sketch[i] = step * in.getShort();
    }
    return sketch;
  }
}
