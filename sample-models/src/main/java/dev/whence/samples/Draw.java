package dev.whence.samples;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;

/**
 * Random choices that are the same on every JDK: of the generator only {@code nextLong} is used,
 * which SplittableRandom's algorithm (SplitMix64) fixes.
 *
 * <p>Draws for different purposes are forks by label, so that one more choice in one place changes
 * nothing elsewhere.
 */
final class Draw {
  private static final long FNV_OFFSET_BASIS = 0xCBF29CE484222325L;
  private static final long FNV_PRIME = 0x100000001B3L;

  private static final int DOUBLE_BITS = 53;

  private final RandomGenerator random;

  Draw(RandomGenerator random) {
    this.random = random;
  }

  /** The draw of a purpose under a seed. */
  static Draw of(long seed, String label) {
    return of(seed, label, 0);
  }

  /** The draw of the index-th of many things under a seed. */
  static Draw of(long seed, String label, long index) {
    long hash = FNV_OFFSET_BASIS;
    for (byte b : label.getBytes(StandardCharsets.UTF_8)) {
      hash = (hash ^ (b & 0xFF)) * FNV_PRIME;
    }
    // Each step is hashed: states that lie a multiple of SplitMix64's increment apart would give
    // the same numbers, shifted.
    long ofLabel = new SplittableRandom(seed ^ hash).nextLong();
    long ofIndex = new SplittableRandom(ofLabel ^ index).nextLong();
    return new Draw(new SplittableRandom(ofIndex));
  }

  RandomGenerator random() {
    return random;
  }

  /** From 0 up to, but not including, the bound. */
  int below(int bound) {
    if (bound <= 0) {
      throw new IllegalArgumentException("there is nothing to draw from");
    }
    // The high half of a 32-by-32-bit product; the bias is below bound / 2^32.
    return (int) (((random.nextLong() >>> 32) * bound) >>> 32);
  }

  /** Both ends included. */
  int between(int least, int most) {
    return least + below(most - least + 1);
  }

  double fraction() {
    return (random.nextLong() >>> (Long.SIZE - DOUBLE_BITS)) * 0x1.0p-53;
  }

  boolean chance(double probability) {
    return fraction() < probability;
  }

  <T> T from(List<T> list) {
    return list.get(below(list.size()));
  }

  <T> List<T> shuffled(List<T> list) {
    List<T> shuffled = new ArrayList<>(list);
    for (int i = shuffled.size() - 1; i > 0; i--) {
      int j = below(i + 1);
      T moved = shuffled.get(i);
      shuffled.set(i, shuffled.get(j));
      shuffled.set(j, moved);
    }
    return shuffled;
  }
}
