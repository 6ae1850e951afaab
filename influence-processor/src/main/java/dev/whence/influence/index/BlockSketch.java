package dev.whence.influence.index;

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
    add(values, values.length, first, sketch);
  }

  /**
   * Adds coordinates of a vector to its sketch.
   *
   * @param values the first n of them count
   * @param first number of the first one
   * @param sketch k numbers
   */
  void add(float[] values, int n, long first, float[] sketch) {
    int length = Math.min(BLOCK, buckets);
    float[] here = new float[BLOCK];
    float[] sums = new float[BLOCK];
    int at = 0;
    while (at < n) {
      long block = (first + at) / length;
      int within = (int) ((first + at) % length);
      int part = Math.min(length - within, n - at);
      long hash = mix(seed + block * GOLDEN);
      int bucket = (int) (((hash >>> 32) * buckets) >>> 32);
      float[] signs = SIGNS[(int) (hash & (2 * PATTERNS - 1))];
      if (part == BLOCK && bucket + BLOCK <= buckets) {
        System.arraycopy(values, at, here, 0, BLOCK);
        System.arraycopy(sketch, bucket, sums, 0, BLOCK);
        add(here, signs, sums);
        System.arraycopy(sums, 0, sketch, bucket, BLOCK);
      } else {
        for (int i = 0; i < part; i++) {
          int to = bucket + within + i;
          sketch[to < buckets ? to : to - buckets] += signs[within + i] * values[at + i];
        }
      }
      at += part;
    }
  }

  /** A loop that is vectorised, which it is only as long as all of its indexes are the same. */
  private static void add(float[] values, float[] signs, float[] sums) {
    for (int i = 0; i < BLOCK; i++) {
      sums[i] += signs[i] * values[i];
    }
  }

  private static long mix(long z) {
    z = (z ^ (z >>> 30)) * 0xbf58_476d_1ce4_e5b9L;
    z = (z ^ (z >>> 27)) * 0x94d0_49bb_1331_11ebL;
    return z ^ (z >>> 31);
  }
}
