package dev.whence.influence.index;

/**
 * A query's rotated sketch q in whole numbers u of b bits (two's complement), q ~ step u, kept by
 * bit: word w of plane p holds bit p of 64 numbers. With the signs s of a document's sketch ({@link
 * SignCodes})
 *
 * <pre>
 *   sum_i q_i s_i ~ step (2 sum_{i: s_i = 1} u_i - sum_i u_i),
 *   sum_{i: s_i = 1} u_i = sum_{p &lt; b - 1} 2^p popcount(s &amp; plane_p) - 2^(b-1) popcount(s &amp; plane_(b-1))
 * </pre>
 *
 * which is exact for the rounded query: no floating point number is touched. Cost: one AND and one
 * population count for each word and plane. The same form as in RaBitQ (Gao and Long 2024, section
 * 3.3).
 */
public final class QueryPlanes {
  /** For scans: what it is off by is small beside what signs are. */
  private static final int COARSE_BITS = 2;

  /** For estimates that are published. */
  private static final int FINE_BITS = 16;

  /**
   * Of two bits, in root mean squares of the query: what leaves the least squared error of Gaussian
   * numbers, .151 of their square.
   */
  private static final double COARSE_STEP = 1.08;

  private final long[][] planes;
  private final double step;
  private final long sum;

  private QueryPlanes(float[] query, int bits, double step) {
    this.planes = new long[bits][SignCodes.words(query.length)];
    this.step = step;
    long total = 0;
    for (int i = 0; i < query.length; i++) {
      long u = rounded(query[i], bits, step);
      total += u;
      for (int p = 0; p < bits; p++) {
        planes[p][i / SignCodes.WORD] |= ((u >>> p) & 1) << i;
      }
    }
    this.sum = total;
  }

  private static long rounded(float value, int bits, double step) {
    long limit = 1L << (bits - 1);
    long nearest = step == 0 ? 0 : Math.round(value / step);
    return Math.max(-limit, Math.min(limit - 1, nearest));
  }

  /** Two bits, for choosing documents. */
  public static QueryPlanes coarse(RotatedSketch rotated) {
    float[] query = rotated.values();
    double squares = 0;
    for (float value : query) {
      squares += (double) value * value;
    }
    double step = COARSE_STEP * Math.sqrt(squares / query.length);
    return new QueryPlanes(query, COARSE_BITS, step);
  }

  /** All bits that a query on its way has, for estimates. */
  public static QueryPlanes fine(RotatedSketch rotated) {
    float[] query = rotated.values();
    float largest = 0;
    for (float value : query) {
      largest = Math.max(largest, Math.abs(value));
    }
    return new QueryPlanes(query, FINE_BITS, largest / (double) ((1 << (FINE_BITS - 1)) - 1));
  }

  /**
   * sum_i q_i s_i.
   *
   * @param signs of a document, as many words as the query has
   */
  public double product(long[] signs) {
    if (signs.length != planes[0].length) {
      throw new IllegalArgumentException(
          "signs of " + signs.length + " words, a query of " + planes[0].length);
    }
    long positive = 0;
    int top = planes.length - 1;
    for (int p = 0; p <= top; p++) {
      long counted = (long) counted(signs, planes[p]) << p;
      positive += p == top ? -counted : counted;
    }
    return step * (2 * positive - sum);
  }

  private static int counted(long[] signs, long[] plane) {
    int counted = 0;
    for (int w = 0; w < plane.length; w++) {
      counted += Long.bitCount(signs[w] & plane[w]);
    }
    return counted;
  }
}
