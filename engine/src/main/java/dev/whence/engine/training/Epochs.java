package dev.whence.engine.training;

import java.util.Random;

/**
 * The order in which examples are seen: each epoch goes through all of them, in an order of its
 * own. What stands at a position depends on seed, number and position only.
 */
public final class Epochs {
  private final int size;
  private final long seed;
  private long epoch = -1;
  private int[] order = {};

  /**
   * @param size how many examples there are, at least one
   */
  public Epochs(int size, long seed) {
    if (size < 1) {
      throw new IllegalArgumentException("there is no example to go through");
    }
    this.size = size;
    this.seed = seed;
  }

  /**
   * The example at a position.
   *
   * @param position from 0; position / size is the epoch
   * @return index of the example, below size
   */
  public int at(long position) {
    long wanted = position / size;
    if (wanted != epoch) {
      order = shuffled(wanted);
      epoch = wanted;
    }
    return order[(int) (position % size)];
  }

  /** Fisher and Yates; java.util.Random's algorithm is part of its specification. */
  private int[] shuffled(long wanted) {
    Random random = new Random(seed * 0x9e37_79b9_7f4a_7c15L + wanted);
    int[] places = new int[size];
    for (int i = 0; i < size; i++) {
      int j = random.nextInt(i + 1);
      places[i] = places[j];
      places[j] = i;
    }
    return places;
  }
}
