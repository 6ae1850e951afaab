package dev.whence.influence.index;

import java.nio.FloatBuffer;
import java.util.Locale;

/**
 * A fixed random projection of long vectors to k numbers: a count-sketch (Charikar, Chen and
 * Farach-Colton 2002) of whole blocks. Each block of {@value #BLOCK} neighbouring coordinates (of k
 * where that is less) is added, each with a random sign, to as many neighbouring buckets from a
 * random one on; after the last bucket comes the first. Scalar products of sketches are those of
 * the vectors on average, with a standard error of at most about |x| |y| / sqrt(k): coordinates of
 * different blocks share a bucket with probability 1 / k, those of one block never.
 *
 * <p>A block's bucket and which of {@value #PATTERNS} patterns of signs it has, as it is or turned,
 * are a function of the seed and the block's number, by the finaliser of SplitMix64, so that all
 * machines sketch alike. Cost: one addition per coordinate, to numbers that lie side by side, where
 * a bucket for each coordinate would be a leap each.
 *
 * @param buckets k
 * @param seed of the hash
 */
public record BlockSketch(int buckets, long seed) {
  static final int BLOCK = 512;
  private static final int MAX_BUCKETS = 1 << 20;

  /** Coordinates whose squares are added in fp32, in sums of PIECE / BLOCK each. */
  private static final int PIECE = 1 << 13;

  /** Between these no such square has overflowed, and those that have vanished do not count. */
  private static final double LEAST = 1e-28;

  private static final double MOST = 1e36;

  /** Patterns of signs that there are, their negatives not counted. */
  private static final int PATTERNS = 64;

  private static final long GOLDEN = 0x9e37_79b9_7f4a_7c15L;
  private static final float[][] SIGNS = signs();

  public BlockSketch {
    if (buckets < 1 || buckets > MAX_BUCKETS) {
      throw new IllegalArgumentException(
          String.format(Locale.ROOT, "%d buckets: 1 to %d are possible", buckets, MAX_BUCKETS));
    }
  }

  /** Random ones, and after them the same turned: [2 PATTERNS][BLOCK]. */
  private static float[][] signs() {
    float[][] signs = new float[2 * PATTERNS][BLOCK];
    for (int i = 0; i < PATTERNS * BLOCK; i++) {
      float sign = (mix(i * GOLDEN) & 1) == 0 ? 1 : -1;
      signs[i / BLOCK][i % BLOCK] = sign;
      signs[PATTERNS + i / BLOCK][i % BLOCK] = -sign;
    }
    return signs;
  }

  /**
   * Adds coordinates of a vector to its sketch.
   *
   * @param first number of the first one
   * @param sketch k numbers
   */
  public void add(float[] values, long first, float[] sketch) {
    double unused = add(FloatBuffer.wrap(values), first, sketch);
  }

  /**
   * Adds coordinates of a vector to its sketch.
   *
   * @param values up to its limit
   * @param first number of the first one
   * @param sketch k numbers
   * @return the sum of the coordinates' squares: in fp32 over few of them each, side by side, in
   *     fp64 over those sums, and over all where squares leave what fp32 holds
   */
  double add(FloatBuffer values, long first, float[] sketch) {
    double squares = 0;
    for (int from = 0; from < values.limit(); from += PIECE) {
      squares += add(values, from, Math.min(from + PIECE, values.limit()), first, sketch);
    }
    return squares;
  }

  private double add(FloatBuffer values, int from, int to, long first, float[] sketch) {
    int length = Math.min(BLOCK, buckets);
    float[] here = new float[BLOCK];
    float[] sums = new float[BLOCK];
    float[] lanes = new float[BLOCK];
    double others = 0;
    int whole = 0;
    int at = from;
    while (at < to) {
      long block = (first + at) / length;
      int within = (int) ((first + at) % length);
      int part = Math.min(length - within, to - at);
      long hash = mix(seed + block * GOLDEN);
      int bucket = (int) (((hash >>> 32) * buckets) >>> 32);
      float[] signs = SIGNS[(int) (hash & (2 * PATTERNS - 1))];
      if (part == BLOCK && bucket + BLOCK <= buckets) {
        values.get(at, here);
        System.arraycopy(sketch, bucket, sums, 0, BLOCK);
        add(here, signs, sums, lanes);
        System.arraycopy(sums, 0, sketch, bucket, BLOCK);
        whole++;
      } else {
        for (int i = 0; i < part; i++) {
          int bucketOf = bucket + within + i;
          float value = values.get(at + i);
          sketch[bucketOf < buckets ? bucketOf : bucketOf - buckets] += signs[within + i] * value;
          others += (double) value * value;
        }
      }
      at += part;
    }
    if (whole == 0) {
      return others;
    }
    double squares = 0;
    for (float lane : lanes) {
      squares += lane;
    }
    return squares >= LEAST && squares <= MOST ? squares + others : squares(values, from, to);
  }

  private static double squares(FloatBuffer values, int from, int to) {
    double squares = 0;
    for (int i = from; i < to; i++) {
      double value = values.get(i);
      squares += value * value;
    }
    return squares;
  }

  /** A loop that is vectorised, which it is only as long as all of its indexes are the same. */
  private static void add(float[] values, float[] signs, float[] sums, float[] squares) {
    for (int i = 0; i < BLOCK; i++) {
      float value = values[i];
      sums[i] += signs[i] * value;
      squares[i] += value * value;
    }
  }

  private static long mix(long z) {
    z = (z ^ (z >>> 30)) * 0xbf58_476d_1ce4_e5b9L;
    z = (z ^ (z >>> 27)) * 0x94d0_49bb_1331_11ebL;
    return z ^ (z >>> 31);
  }
}
