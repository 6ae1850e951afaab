package dev.whence.influence.index;

import java.util.Locale;

/**
 * A fixed random projection of long vectors to k numbers: each coordinate is added, with a random
 * sign, to one random bucket (Charikar, Chen and Farach-Colton 2002). Scalar products of sketches
 * are those of the vectors on average, with a standard error of at most about |x| |y| / sqrt(k).
 *
 * <p>Bucket and sign of a coordinate are a function of the seed and the coordinate's number, by the
 * finaliser of SplitMix64, so that all machines sketch alike. Cost: one addition per coordinate.
 *
 * @param buckets k
 * @param seed of the hash
 */
public record CountSketch(int buckets, long seed) {
  private static final int MAX_BUCKETS = 1 << 20;

  /** Coordinates that a thread hashes at once. */
  private static final int PIECE = 1 << 16;

  public CountSketch {
    if (buckets < 1 || buckets > MAX_BUCKETS) {
      throw new IllegalArgumentException(
          String.format(Locale.ROOT, "%d buckets: 1 to %d are possible", buckets, MAX_BUCKETS));
    }
  }

  /**
   * Adds coordinates of a vector to its sketch.
   *
   * @param first number of the first one
   * @param sketch k numbers
   */
  public void add(float[] values, long first, float[] sketch) {
    for (int i = 0; i < values.length; i++) {
      addTo(sketch, place(first + i), values[i]);
    }
  }

  /**
   * Where coordinates go, for several vectors that are sketched: the hash is the larger part of the
   * work. {@linkplain Shares Side by side}.
   *
   * @param first number of the first one
   * @param n how many
   */
  int[] places(long first, int n) {
    int[] places = new int[n];
    Shares.forEach(
        (n + PIECE - 1) / PIECE,
        piece -> {
          int end = Math.min(n, (piece + 1) * PIECE);
          for (int i = piece * PIECE; i < end; i++) {
            places[i] = place(first + i);
          }
        });
    return places;
  }

  /**
   * Adds coordinates whose {@link #places} are known.
   *
   * @param values the first n of them count
   * @param from index of the first one's place
   */
  static void add(float[] values, int n, int[] places, int from, float[] sketch) {
    for (int i = 0; i < n; i++) {
      addTo(sketch, places[from + i], values[i]);
    }
  }

  /** Twice the bucket, and 1 more where the sign is turned. */
  private int place(long coordinate) {
    long hash = mix(seed + coordinate * 0x9e37_79b9_7f4a_7c15L);
    return (int) (((hash >>> 32) * buckets) >>> 32) << 1 | (int) (hash & 1);
  }

  /** Without a branch, which no processor could foretell. */
  private static void addTo(float[] sketch, int place, float value) {
    sketch[place >>> 1] +=
        Float.intBitsToFloat(Float.floatToRawIntBits(value) ^ place << (Integer.SIZE - 1));
  }

  private static long mix(long z) {
    z = (z ^ (z >>> 30)) * 0xbf58_476d_1ce4_e5b9L;
    z = (z ^ (z >>> 27)) * 0x94d0_49bb_1331_11ebL;
    return z ^ (z >>> 31);
  }
}
