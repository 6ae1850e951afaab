package dev.whence.influence.index;

import java.util.Arrays;
import java.util.Objects;

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
 * 3.3). Rows come as longs or as ints: which of the two is faster depends on the processor ({@link
 * RowWidth}).
 */
public final class QueryPlanes {
  // Even, both: planes are counted in pairs.
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

  /** The same bits, the lower half of each word first. */
  private final int[][] halves;

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
    this.halves = Arrays.stream(planes).map(QueryPlanes::halves).toArray(int[][]::new);
  }

  private static int[] halves(long[] words) {
    int[] halves = new int[2 * words.length];
    for (int w = 0; w < words.length; w++) {
      halves[2 * w] = (int) words[w];
      halves[2 * w + 1] = (int) (words[w] >>> Integer.SIZE);
    }
    return halves;
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
   * @param signs of documents
   * @param from first word of the document's
   * @param words of it, as many as the query has
   * @throws IllegalArgumentException if there are more or fewer
   */
  public double product(long[] signs, int from, int words) {
    check(signs.length, from, words, planes[0].length);
    long positive = 0;
    for (int p = 0; p < planes.length; p += 2) {
      positive += weighed(p, counted(signs, from, planes[p], planes[p + 1]));
    }
    return step * (2 * positive - sum);
  }

  /** The same for a document's signs alone. */
  public double product(long[] signs) {
    return product(signs, 0, signs.length);
  }

  /**
   * The same for signs as ints, the lower half of each word first.
   *
   * @param signs of documents
   * @param from first int of the document's
   * @param halves of it, twice as many as the query has words
   * @throws IllegalArgumentException if there are more or fewer
   */
  public double product(int[] signs, int from, int halves) {
    check(signs.length, from, halves, this.halves[0].length);
    long positive = 0;
    for (int p = 0; p < this.halves.length; p += 2) {
      positive += weighed(p, counted(signs, from, this.halves[p], this.halves[p + 1]));
    }
    return step * (2 * positive - sum);
  }

  private static void check(int length, int from, int words, int own) {
    Objects.checkFromIndexSize(from, words, length);
    if (words != own) {
      throw new IllegalArgumentException("signs of " + words + " numbers, a query of " + own);
    }
  }

  /** What the counts of planes p and p + 1 are worth. */
  private long weighed(int p, long counts) {
    long high = (counts >>> Integer.SIZE) << (p + 1);
    return ((counts & 0xffff_ffffL) << p) + (p + 2 == planes.length ? -high : high);
  }

  /** Bits in common with two planes, for which the row is read once: the second's count above. */
  static long counted(long[] signs, int from, long[] low, long[] high) {
    int ofLow = 0;
    int ofHigh = 0;
    for (int w = 0; w < low.length; w++) {
      ofLow += Long.bitCount(signs[from + w] & low[w]);
      ofHigh += Long.bitCount(signs[from + w] & high[w]);
    }
    return (long) ofHigh << Integer.SIZE | ofLow;
  }

  static long counted(int[] signs, int from, int[] low, int[] high) {
    int ofLow = 0;
    int ofHigh = 0;
    for (int w = 0; w < low.length; w++) {
      ofLow += Integer.bitCount(signs[from + w] & low[w]);
      ofHigh += Integer.bitCount(signs[from + w] & high[w]);
    }
    return (long) ofHigh << Integer.SIZE | ofLow;
  }
}
