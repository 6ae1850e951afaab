package dev.whence.influence.index;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Rows of bits in the width in which they are counted. A row that was taken is counted where it
 * lies.
 */
sealed interface RowBlock {
  /**
   * A block of rows without a bit.
   *
   * @param words of 64 bits in each
   */
  static RowBlock of(RowWidth width, int rows, int words) {
    return width == RowWidth.INTS ? new Ints(rows, words) : new Longs(rows, words);
  }

  /**
   * Takes a row over.
   *
   * @param bytes rows one after the other, little-endian
   * @param number of the row there
   * @param to its number here
   */
  void take(ByteBuffer bytes, int number, int to);

  /** Scalar product of a query with the signs of a row. */
  double product(QueryPlanes query, int row);

  /** 64 bits at once. */
  final class Longs implements RowBlock {
    private final int words;
    private final long[] signs;

    Longs(int rows, int words) {
      this.words = words;
      this.signs = new long[Math.multiplyExact(rows, words)];
    }

    @Override
    public void take(ByteBuffer bytes, int number, int to) {
      bytes
          .order(ByteOrder.LITTLE_ENDIAN)
          .asLongBuffer()
          .get(number * words, signs, to * words, words);
    }

    @Override
    public double product(QueryPlanes query, int row) {
      return query.product(signs, row * words, words);
    }
  }

  /** 32 bits at once. */
  final class Ints implements RowBlock {
    private final int halves;
    private final int[] signs;

    Ints(int rows, int words) {
      this.halves = Math.multiplyExact(2, words);
      this.signs = new int[Math.multiplyExact(rows, halves)];
    }

    @Override
    public void take(ByteBuffer bytes, int number, int to) {
      bytes
          .order(ByteOrder.LITTLE_ENDIAN)
          .asIntBuffer()
          .get(number * halves, signs, to * halves, halves);
    }

    @Override
    public double product(QueryPlanes query, int row) {
      return query.product(signs, row * halves, halves);
    }
  }
}
