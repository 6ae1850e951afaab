package dev.whence.influence.index;

import dev.whence.files.FileIdentity;
import java.io.EOFException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.ForkJoinPool;
import java.util.stream.IntStream;

/**
 * The signs of n documents' sketches ({@link SignCodes}), [n, k / 64] little-endian words of a
 * file, which the page cache holds as far as it can.
 *
 * <p>They are read by position and not through memory maps: a map whose file is cut short ends in
 * an error that the JVM may raise anywhere later, a read says so where it happens. The file is
 * opened for each use, and must be the one that it was.
 */
public final class SignRows {
  /** Bytes that a thread reads at once: they stay in the cache next to it. */
  private static final int READ_BYTES = 1 << 19;

  /** Pieces of a scan for each thread, so that all end at about the same time. */
  private static final int PIECES = 8;

  private final Path file;
  private final long start;
  private final int documents;
  private final int words;
  private final FileIdentity identity;
  private final RowWidth width;

  /**
   * A part of a file.
   *
   * @param start byte of the first word
   * @param documents n
   * @param buckets k
   * @throws IllegalArgumentException if k fills no whole words
   */
  public SignRows(Path file, long start, int documents, int buckets) throws IOException {
    this(file, start, documents, buckets, RowWidth.fastest());
  }

  /**
   * A part of a file, counted in a width of one's own choice.
   *
   * @param start byte of the first word
   * @param documents n
   * @param buckets k
   * @throws IllegalArgumentException if k fills no whole words
   */
  public SignRows(Path file, long start, int documents, int buckets, RowWidth width)
      throws IOException {
    this(file, FileIdentity.of(file), start, documents, buckets, width);
  }

  /** A part of a file that has been looked at before. */
  SignRows(
      Path file, FileIdentity identity, long start, int documents, int buckets, RowWidth width) {
    this.width = width;
    this.file = file;
    this.start = start;
    this.documents = documents;
    this.words = SignCodes.words(buckets);
    this.identity = identity;
  }

  /**
   * The file, to be closed.
   *
   * @throws IOException if it was changed since
   */
  FileChannel open() throws IOException {
    return identity.open(file);
  }

  /**
   * Scalar products of queries with the signs of all documents, by all processors (the common pool,
   * whatever the engine's threads are): each document is read once.
   *
   * @param queries Q of them
   * @param scales [n], c of each document
   * @return [Q][n]
   * @throws IOException if the file was changed since, or is cut short meanwhile
   */
  public float[][] scan(List<QueryPlanes> queries, float[] scales) throws IOException {
    float[][] scores = new float[queries.size()][documents];
    int pieces = PIECES * ForkJoinPool.getCommonPoolParallelism() + PIECES;
    try (FileChannel channel = open()) {
      IntStream.range(0, pieces)
          .parallel()
          .forEach(
              piece -> {
                int from = (int) ((long) documents * piece / pieces);
                int to = (int) ((long) documents * (piece + 1) / pieces);
                scan(channel, from, to, queries, scales, scores);
              });
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
    return scores;
  }

  private void scan(
      FileChannel channel,
      int from,
      int to,
      List<QueryPlanes> queries,
      float[] scales,
      float[][] scores) {
    int atOnce = Math.max(1, Math.min(to - from, READ_BYTES / rowBytes()));
    ByteBuffer rows = ByteBuffer.allocateDirect(atOnce * rowBytes());
    Row row = row();
    for (int first = from; first < to; first += atOnce) {
      int n = Math.min(atOnce, to - first);
      read(channel, first, rows.clear().limit(n * rowBytes()));
      for (int i = 0; i < n; i++) {
        row.take(rows, i);
        for (int q = 0; q < scores.length; q++) {
          scores[q][first + i] = (float) (row.product(queries.get(q)) * scales[first + i]);
        }
      }
    }
  }

  /** A document's signs, in the width in which they are counted. */
  private interface Row {
    void take(ByteBuffer rows, int number);

    double product(QueryPlanes query);
  }

  private Row row() {
    return width == RowWidth.INTS ? new HalfWords(words) : new Words(words);
  }

  private static final class Words implements Row {
    private final long[] signs;

    Words(int words) {
      this.signs = new long[words];
    }

    @Override
    public void take(ByteBuffer rows, int number) {
      rows.order(ByteOrder.LITTLE_ENDIAN).asLongBuffer().get(number * signs.length, signs);
    }

    @Override
    public double product(QueryPlanes query) {
      return query.product(signs);
    }
  }

  private static final class HalfWords implements Row {
    private final int[] signs;

    HalfWords(int words) {
      this.signs = new int[2 * words];
    }

    @Override
    public void take(ByteBuffer rows, int number) {
      rows.order(ByteOrder.LITTLE_ENDIAN).asIntBuffer().get(number * signs.length, signs);
    }

    @Override
    public double product(QueryPlanes query) {
      return query.product(signs);
    }
  }

  /**
   * Scalar products of a query with the signs of some documents, in their order.
   *
   * @throws IOException as in a scan
   */
  public double[] products(QueryPlanes query, List<Integer> some) throws IOException {
    double[] products = new double[some.size()];
    ByteBuffer bytes = ByteBuffer.allocateDirect(rowBytes());
    Row row = row();
    try (FileChannel channel = open()) {
      for (int i = 0; i < products.length; i++) {
        read(channel, some.get(i), bytes.clear());
        row.take(bytes, 0);
        products[i] = row.product(query);
      }
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
    return products;
  }

  /** Bytes of all documents. */
  public long bytes() {
    return (long) documents * rowBytes();
  }

  private int rowBytes() {
    return words * Long.BYTES;
  }

  private void read(FileChannel channel, int first, ByteBuffer rows) {
    long at = start + (long) first * rowBytes();
    try {
      while (rows.hasRemaining()) {
        if (channel.read(rows, at + rows.position()) < 0) {
          throw new EOFException("the file ends at byte " + (at + rows.position()));
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    rows.flip();
  }
}
