package dev.whence.influence.index;

import java.io.IOException;
import java.nio.ByteOrder;
import java.nio.LongBuffer;
import java.nio.channels.FileChannel;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The signs of n documents' sketches ({@link SignCodes}), [n, k / 64] little-endian words of a file
 * that are read through memory maps: more than the heap holds is searched at the speed of the page
 * cache.
 */
public final class SignRows {
  /** Documents that one processor takes at once. */
  private static final int BLOCK = 256;

  /** A map has at most 2 GiB. */
  private static final long MAP_BYTES = 1L << 30;

  private final List<LongBuffer> maps = new ArrayList<>();
  private final int rowsPerMap;
  private final int documents;
  private final int words;

  /**
   * Maps a part of a file, which may be closed afterwards.
   *
   * @param start byte of the first word
   * @param documents n
   * @param buckets k
   * @throws IllegalArgumentException if k fills no whole words
   */
  public SignRows(FileChannel file, long start, int documents, int buckets) throws IOException {
    this(file, start, documents, buckets, MAP_BYTES);
  }

  SignRows(FileChannel file, long start, int documents, int buckets, long mapBytes)
      throws IOException {
    this.documents = documents;
    this.words = SignCodes.words(buckets);
    long row = SignCodes.bytes(buckets);
    this.rowsPerMap = (int) Math.max(1, mapBytes / row);
    for (long first = 0; first < documents; first += rowsPerMap) {
      long bytes = Math.min(rowsPerMap, documents - first) * row;
      maps.add(
          file.map(FileChannel.MapMode.READ_ONLY, start + first * row, bytes)
              .order(ByteOrder.LITTLE_ENDIAN)
              .asLongBuffer());
    }
  }

  /**
   * Scalar products of queries with the signs of all documents, by all processors (the common pool,
   * whatever the engine's threads are): each document is read once.
   *
   * <p>A file that is cut short meanwhile is an {@link InternalError}, as maps have it.
   *
   * @param queries Q of them
   * @param scales [n], c of each document
   * @return [Q][n]
   */
  public float[][] scan(List<QueryPlanes> queries, float[] scales) {
    float[][] scores = new float[queries.size()][documents];
    IntStream.range(0, (documents + BLOCK - 1) / BLOCK)
        .parallel()
        .forEach(
            block -> {
              long[] row = new long[words];
              int end = Math.min(documents, (block + 1) * BLOCK);
              for (int document = block * BLOCK; document < end; document++) {
                read(document, row);
                for (int q = 0; q < scores.length; q++) {
                  scores[q][document] = (float) (queries.get(q).product(row) * scales[document]);
                }
              }
            });
    return scores;
  }

  /** The scalar product of a query with the signs of one document. */
  public double product(QueryPlanes query, int document) {
    long[] row = new long[words];
    read(document, row);
    return query.product(row);
  }

  /** Bytes of all documents. */
  public long bytes() {
    return (long) documents * words * Long.BYTES;
  }

  private void read(int document, long[] row) {
    maps.get(document / rowsPerMap).get(document % rowsPerMap * words, row);
  }
}
