package dev.whence.influence.index;

/**
 * A query's sketch q in whole numbers u of b bits (two's complement), q ~ step u, kept by bit: word
 * w of plane p holds bit p of 64 numbers. With the signs s of a document's sketch ({@link
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

  /** Steps that are tried for few bits, in root mean squares of the query. */
  private static final double[] STEPS = {.5, .7, .85, 1, 1.2, 1.4, 1.7, 2, 2.5, 3, 4, 6, 9};

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

  /**
   * Few bits, for choosing documents: the step is the one of some that leaves the least squared
   * error.
   */
  public static QueryPlanes coarse(float[] query) {
    double squares = 0;
    for (float value : query) {
      squares += (double) value * value;
    }
    double unit = Math.sqrt(squares / query.length);
    double best = 0;
    double least = Double.POSITIVE_INFINITY;
    for (double factor : STEPS) {
      double step = factor * unit;
      double error = 0;
      for (float value : query) {
        double off = value - step * rounded(value, COARSE_BITS, step);
        error += off * off;
      }
      if (error < least) {
        least = error;
        best = step;
      }
    }
    return new QueryPlanes(query, COARSE_BITS, best);
  }

  /** All bits that a query on its way has, for estimates. */
  public static QueryPlanes fine(float[] query) {
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
