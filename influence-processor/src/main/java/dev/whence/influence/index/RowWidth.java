package dev.whence.influence.index;

/**
 * In which width rows of bits are counted. Where the processor has an instruction for it
 * (AVX512_VPOPCNTDQ), Java 17's compiler counts sixteen ints at once, but longs one by one; without
 * it, longs need half as many steps. Nothing says which processor it is, so both are tried.
 */
public enum RowWidth {
  /** 64 bits, as they lie in the index. */
  LONGS,

  /** 32 bits, the lower half of each of those first. */
  INTS;

  /** Of a row that lies in the cache. */
  private static final int WORDS = 2048;

  private static final int ROWS = 100;

  /** Neither got faster for so many rounds: the compiler is done. */
  private static final int STEADY_ROUNDS = 40;

  private static final int MOST_ROUNDS = 1000;

  private static final class Fastest {
    static final RowWidth WIDTH = measured();
  }

  /** The faster one here; it takes some tenths of a second to find out, once. */
  public static RowWidth fastest() {
    return Fastest.WIDTH;
  }

  /** By the best round of each, in turn: the compiler's first versions do not count. */
  private static RowWidth measured() {
    long[] words = new long[WORDS];
    int[] halves = new int[2 * WORDS];
    long longs = Long.MAX_VALUE;
    long ints = Long.MAX_VALUE;
    long counted = 0;
    int steady = 0;
    for (int round = 0; round < MOST_ROUNDS && steady < STEADY_ROUNDS; round++) {
      long start = System.nanoTime();
      for (int row = 0; row < ROWS; row++) {
        words[row] = row;
        counted += QueryPlanes.counted(words, 0, words, words);
      }
      long between = System.nanoTime();
      for (int row = 0; row < ROWS; row++) {
        halves[row] = row;
        counted += QueryPlanes.counted(halves, 0, halves, halves);
      }
      long end = System.nanoTime();
      boolean faster = between - start < 0.9 * longs || end - between < 0.9 * ints;
      steady = faster ? 0 : steady + 1;
      longs = Math.min(longs, between - start);
      ints = Math.min(ints, end - between);
    }
    // used, so that nothing of it can be left out
    return counted != 0 && ints < longs ? INTS : LONGS;
  }
}
