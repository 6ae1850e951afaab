package dev.whence.influence.index;

import dev.whence.files.FileIdentity;
import java.io.EOFException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ForkJoinPool;
import java.util.stream.IntStream;

/**
 * The signs of n documents' sketches ({@link SignCodes}), [n, k / 64] little-endian words of a
 * file, which the page cache holds as far as it can.
 *
 * <p>They are read by position and not through memory maps: a map whose file is cut short ends in
 * an error that the JVM may raise anywhere later, a read says so where it happens. {@link
 * #inMemory} holds them on the heap, where a scan copies nothing. The file is opened for each use,
 * and must be the one that it was.
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
  private final Optional<HeldSigns> held;

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
    this.held = Optional.empty();
  }

  private SignRows(SignRows read, HeldSigns held) {
    this.width = read.width;
    this.file = read.file;
    this.start = read.start;
    this.documents = read.documents;
    this.words = read.words;
    this.identity = read.identity;
    this.held = Optional.of(held);
  }

  /** Whether they lie on the heap. */
  public boolean areInMemory() {
    return held.isPresent();
  }

  /**
   * The same on the heap, {@link #bytes} of it, read now unless they lie there.
   *
   * @throws IOException if the file was changed since, or is cut short meanwhile
   */
  public SignRows inMemory() throws IOException {
    if (areInMemory()) {
      return this;
    }
    HeldSigns all = new HeldSigns(width, documents, words);
    try (FileChannel channel = open()) {
      reading(channel, 0, documents, (rows, number, document) -> all.take(rows, number, document));
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
    return new SignRows(this, all);
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
   * whatever the engine's threads are): each document is read once, if it is not in memory.
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
    if (held.isPresent()) {
      HeldSigns signs = held.get();
      for (int document = from; document < to; document++) {
        for (int q = 0; q < scores.length; q++) {
          double product = signs.product(queries.get(q), document);
          scores[q][document] = (float) (product * scales[document]);
        }
      }
      return;
    }
    RowBlock row = RowBlock.of(width, 1, words);
    reading(
        channel,
        from,
        to,
        (rows, number, document) -> {
          row.take(rows, number, 0);
          for (int q = 0; q < scores.length; q++) {
            double product = row.product(queries.get(q), 0);
            scores[q][document] = (float) (product * scales[document]);
          }
        });
  }

  /** Gets a row of what was read. */
  private interface RowReader {
    void row(ByteBuffer rows, int number, int document);
  }

  private void reading(FileChannel channel, int from, int to, RowReader reader) {
    int atOnce = Math.max(1, Math.min(to - from, READ_BYTES / rowBytes()));
    ByteBuffer rows = ByteBuffer.allocateDirect(atOnce * rowBytes());
    for (int first = from; first < to; first += atOnce) {
      int n = Math.min(atOnce, to - first);
      read(channel, first, rows.clear().limit(n * rowBytes()));
      for (int i = 0; i < n; i++) {
        reader.row(rows, i, first + i);
      }
    }
  }

  /**
   * Scalar products of a query with the signs of some documents, in their order.
   *
   * @throws IOException as in a scan
   */
  public double[] products(QueryPlanes query, List<Integer> some) throws IOException {
    double[] products = new double[some.size()];
    try (FileChannel channel = open()) {
      if (held.isPresent()) {
        HeldSigns signs = held.get();
        Arrays.setAll(products, i -> signs.product(query, some.get(i)));
        return products;
      }
      ByteBuffer bytes = ByteBuffer.allocateDirect(rowBytes());
      RowBlock row = RowBlock.of(width, 1, words);
      for (int i = 0; i < products.length; i++) {
        read(channel, some.get(i), bytes.clear());
        row.take(bytes, 0, 0);
        products[i] = row.product(query, 0);
      }
      return products;
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
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
